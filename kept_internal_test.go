package im

import (
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
)

func TestAKeptRequestIsTheSame(t *testing.T) {
	r := parseHandshake(t)
	r.Header.Set("Cookie", "session=abc; theme=dark")
	r.Header["x-odd"] = []string{"a\r\nb\x00", "", "live.example.com", strings.Repeat("long ", 100)}
	r.Header["X-Empty"] = []string{}
	for name, u := range map[string]*url.URL{
		"as it came":   r.URL,
		"query":        {Path: "/ws", RawQuery: "token=" + strings.Repeat("x", 300)},
		"forced query": {Path: "/ws", ForceQuery: true},
		"raw path":     {Path: "/a/b", RawPath: "/a%2Fb"},
		"absolute":     {Scheme: "http", Host: "live.example.com", Path: "/ws", User: url.UserPassword("ann", "")},
		"user":         {Scheme: "http", Host: "live.example.com", Path: "/ws", User: url.User("ann"), OmitHost: true},
		"opaque":       {Scheme: "im", Opaque: "x", Fragment: "é", RawFragment: "%c3%a9"},
		"nothing":      {},
	} {
		t.Run(name, func(t *testing.T) {
			r.URL, r.RequestURI = u, "/im"+u.RequestURI()
			want := &http.Request{
				Method: r.Method, URL: u, Host: r.Host, Header: maps.Clone(r.Header), RemoteAddr: r.RemoteAddr,
				Proto: r.Proto, ProtoMajor: r.ProtoMajor, ProtoMinor: r.ProtoMinor, RequestURI: r.RequestURI,
			}
			maps.DeleteFunc(want.Header, func(name string, _ []string) bool { return ofTransport(name) })
			kept := keep(r)
			if got := kept.request(); !reflect.DeepEqual(got, want) {
				t.Errorf("kept %+v\nwant %+v", got, want)
			}
			if got := kept.remoteAddr(); got != r.RemoteAddr {
				t.Errorf("kept the address %q", got)
			}
		})
	}
}

func TestAKeptRequestForgetsTheTransport(t *testing.T) {
	kept := keep(parseHandshake(t))
	for _, secret := range []string{"Bearer", "dGhlIHNhbXBsZSBub25jZQ", "permessage", "gzip"} {
		if strings.Contains(string(kept), secret) {
			t.Errorf("%q holds %q", kept, secret)
		}
	}
	if got := keptRequest("").request(); got.Method != http.MethodGet || got.URL == nil || len(got.Header) != 0 || keptRequest("").remoteAddr() != "" {
		t.Errorf("of no request at all: %+v", got)
	}
	a, b := kept.request(), kept.request()
	a.Header.Set("Origin", "changed")
	a.URL.Path = "changed"
	if b.Header.Get("Origin") == "changed" || b.URL.Path == "changed" {
		t.Error("two of them share something")
	}
}
