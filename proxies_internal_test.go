package im

import (
	"net/http"
	"net/netip"
	"testing"
)

func TestClientAddr(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8:ffff::/48")}
	for _, tt := range []struct {
		remote string
		header []string
		want   string
	}{
		{"203.0.113.7:99", nil, "203.0.113.7"},
		{"203.0.113.7:99", []string{"198.51.100.1"}, "203.0.113.7"}, // not a proxy: its word is nothing
		{"10.1.2.3:99", nil, "10.1.2.3"},
		{"10.1.2.3:99", []string{"198.51.100.1"}, "198.51.100.1"},
		{"10.1.2.3:99", []string{"1.1.1.1, 198.51.100.1"}, "198.51.100.1"}, // the left one was forged
		{"10.1.2.3:99", []string{"198.51.100.1, 10.9.9.9"}, "198.51.100.1"},
		{"10.1.2.3:99", []string{"198.51.100.1", "10.9.9.9"}, "198.51.100.1"}, // in two lines
		{"10.1.2.3:99", []string{"10.4.4.4, 10.9.9.9"}, "10.4.4.4"},           // proxies all the way
		{"10.1.2.3:99", []string{"198.51.100.1, rubbish, 10.9.9.9"}, "10.9.9.9"},
		{"10.1.2.3:99", []string{"rubbish"}, "10.1.2.3"},
		{"10.1.2.3:99", []string{""}, "10.1.2.3"},
		{"10.1.2.3:99", []string{"198.51.100.1:4711"}, "198.51.100.1"},
		{"10.1.2.3:99", []string{"[2001:db8::5]:4711"}, "2001:db8::5"},
		{"10.1.2.3:99", []string{"[2001:db8::5]"}, "2001:db8::5"},
		{"[2001:db8:ffff::1]:99", []string{"2001:db8::5"}, "2001:db8::5"},
		{"[::ffff:10.1.2.3]:99", []string{"198.51.100.1"}, "198.51.100.1"},
		{"10.1.2.3", []string{"198.51.100.1"}, "198.51.100.1"}, // written by middleware
		{"2001:db8:ffff::1", []string{"198.51.100.1"}, "198.51.100.1"},
		{"[fe80::1%eth0]:99", nil, "fe80::1"},
		{"10.1.2.3:99", []string{"198.51.100.1, "}, "10.1.2.3"},
		{"10.1.2.3:99", []string{"198.51.100.1", ""}, "10.1.2.3"},
		{"10.1.2.3:99", []string{"\t 198.51.100.1 \t"}, "198.51.100.1"},
		{"10.1.2.3:99", []string{"unknown, 198.51.100.1,10.9.9.9"}, "198.51.100.1"},
		{"@", nil, "invalid IP"}, // a Unix socket
		{"", nil, "invalid IP"},
	} {
		r := &http.Request{RemoteAddr: tt.remote, Header: http.Header{"X-Forwarded-For": tt.header}}
		if got := clientAddr(r, proxies).String(); got != tt.want {
			t.Errorf("from %s with %q: got %s, want %s", tt.remote, tt.header, got, tt.want)
		}
	}
}

func TestWhichAddressesAreLimitedByDefault(t *testing.T) {
	for a, want := range map[string]bool{
		"203.0.113.7": true, "2001:db8::1": true, "127.0.0.1": false, "::1": false, "10.0.0.1": false, "192.168.1.1": false,
		"172.16.0.9": false, "169.254.1.1": false, "fe80::1": false, "fd00::1": false, "100.64.9.9": false, "100.128.0.1": true,
		"::ffff:10.0.0.1": false, "0.0.0.0": false,
	} {
		if got := public(netip.MustParseAddr(a)); got != want {
			t.Errorf("%s: %v", a, got)
		}
	}
}
