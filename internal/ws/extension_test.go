package ws

import (
	"reflect"
	"testing"
)

func TestParseExtensions(t *testing.T) {
	p := func(name, value string) ExtensionParam { return ExtensionParam{name, value} }
	for in, want := range map[string][]Extension{
		"":                         nil,
		" , ,":                     nil,
		"a":                        {{Name: "a"}},
		"a, b":                     {{Name: "a"}, {Name: "b"}},
		"a;x":                      {{"a", []ExtensionParam{p("x", "")}}},
		"a; x=1; y":                {{"a", []ExtensionParam{p("x", "1"), p("y", "")}}},
		"a ;\tx = 1 , b ; y=\"2\"": {{"a", []ExtensionParam{p("x", "1")}}, {"b", []ExtensionParam{p("y", "2")}}},
		`a; x="\1\5"`:              {{"a", []ExtensionParam{p("x", "15")}}},
	} {
		got, err := ParseExtensions([]string{in})
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %v and %v, want %v", in, got, err, want)
		}
	}
	for _, in := range []string{
		";", "=", "a;", "a; ;x", "a;=1", "a; x=", "a b", "a; x y", `a; x="`, `a; x=""`, `a; x="1`, `a; x="1"2`, `a; x="a b"`,
		`a; x="1\`, "a; x=1=2", "a\x00", "弹幕", "a; x=(1)", `"a"`, "a;x=1;;",
	} {
		if got, err := ParseExtensions([]string{in}); err == nil {
			t.Errorf("%q parsed to %v, want an error", in, got)
		}
	}
	got, err := ParseExtensions([]string{"a", "b; x", ""})
	if err != nil || len(got) != 2 || got[1].Name != "b" {
		t.Errorf("several headers: %v and %v", got, err)
	}
}

func TestDeflateNegotiation(t *testing.T) {
	const accepted = deflateBothNoTakeover
	for offer, want := range map[string]string{
		"permessage-deflate":                                                         accepted,
		"permessage-deflate; client_max_window_bits":                                 accepted,
		"permessage-deflate; client_max_window_bits=8":                               accepted,
		"permessage-deflate; client_max_window_bits=15":                              accepted,
		"permessage-deflate; server_no_context_takeover":                             accepted,
		"permessage-deflate; client_no_context_takeover":                             accepted,
		deflateBothNoTakeover:                                                        accepted,
		"permessage-deflate; server_max_window_bits=15":                              accepted + deflateServerWindowBits,
		`permessage-deflate; server_max_window_bits="15"`:                            accepted + deflateServerWindowBits,
		"permessage-deflate; server_max_window_bits=10, permessage-deflate":          accepted,
		"x-webkit-deflate-frame, permessage-deflate":                                 accepted,
		"permessage-deflate; unknown, permessage-deflate":                            accepted,
		"permessage-deflate; server_max_window_bits":                                 "",
		"permessage-deflate; server_max_window_bits=14":                              "",
		"permessage-deflate; server_max_window_bits=8":                               "",
		"permessage-deflate; server_max_window_bits=7":                               "",
		"permessage-deflate; server_max_window_bits=16":                              "",
		"permessage-deflate; server_max_window_bits=015":                             "",
		"permessage-deflate; client_max_window_bits=7":                               "",
		"permessage-deflate; client_max_window_bits=16":                              "",
		"permessage-deflate; client_max_window_bits=08":                              "",
		"permessage-deflate; client_max_window_bits=x":                               "",
		"permessage-deflate; client_no_context_takeover=1":                           "",
		"permessage-deflate; server_no_context_takeover=true":                        "",
		"permessage-deflate; unknown":                                                "",
		"permessage-deflate; client_max_window_bits; client_max_window_bits":         "",
		"permessage-deflate; server_no_context_takeover; server_no_context_takeover": "",
		"Permessage-Deflate":                                                         "",
		"x-custom":                                                                   "",
		"":                                                                           "",
	} {
		extensions, err := ParseExtensions([]string{offer})
		if err != nil {
			t.Errorf("%q: %v", offer, err)
			continue
		}
		got := ""
		if params, ok := acceptDeflate(extensions); ok {
			got = deflateBothNoTakeover
			if params.serverBits != 0 {
				got += deflateServerWindowBits
			}
		}
		if got != want {
			t.Errorf("%q: answered %q, want %q", offer, got, want)
		}
	}
}

func TestDeflateOnlyIfAllowed(t *testing.T) {
	r := parseRequest(t, rawRequest("Sec-WebSocket-Extensions: permessage-deflate"))
	for _, allow := range []bool{false, true} {
		if hs, refused := CheckRequest(r, nil, allow); refused != nil || hs.Deflate != allow {
			t.Errorf("allowed %t: %+v and %v", allow, hs, refused)
		}
	}
}
