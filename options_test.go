package im_test

import (
	"context"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/liveim/im"
)

func anybody(*http.Request) (im.User, error) { return im.User{ID: "ann"}, nil }

func TestNewNamesTheFieldAndItsBound(t *testing.T) {
	for _, tt := range []struct {
		opts  im.Options
		parts string // that the error must have, separated by '|'
	}{
		{im.Options{IO: im.IOPortable + 1}, "Options.IO|IO(4)|IOAuto, IOUring, IOWrite or IOPortable"},
		{im.Options{FlushGap: 2 * time.Second}, "Options.FlushGap|2s|1ms to 1s"},
		{im.Options{FlushGap: -1}, "Options.FlushGap"},
		{im.Options{Timeouts: im.Timeouts{Send: time.Hour}}, "Options.Timeouts.Send|1h0m0s|1m0s"},
		{im.Options{Timeouts: im.Timeouts{Heartbeat: time.Millisecond}}, "Options.Timeouts.Heartbeat|1s to"},
		{im.Options{Bounds: im.Bounds{Body: -1}}, "Options.Bounds.Body|-1|16 to"},
		{im.Options{Bounds: im.Bounds{Body: 8 << 10, Message: 4 << 10}}, "Options.Bounds.Body|Bounds.Message"},
		{im.Options{Bounds: im.Bounds{RingBatches: 1}}, "Options.Bounds.RingBatches|2 to"},
		{im.Options{Joins: im.JoinPolicy{MaxOnline: -1}}, "Options.Joins.MaxOnline|-1|0 for any"},
		{im.Options{Secret: []byte("short")}, "Options.Secret|5 bytes|16"},
		{im.Options{Origins: []string{"https://ok.example", "example.com"}}, "Options.Origins[1]|scheme://host"},
		{im.Options{Origins: []string{"https://ok.example/"}}, "Options.Origins[0]"},
		{im.Options{Origins: []string{"*"}}, "Options.Origins[0]"},
		{im.Options{Intercept: []im.Middleware{nil}}, "Options.Intercept[0]"},
		{im.Options{Limits: im.Limits{User: map[im.Kind]im.Limit{im.Chat: {N: 0, Per: time.Second}}}}, `Options.Limits.User["chat"]|N from 1`},
		{im.Options{Limits: im.Limits{User: map[im.Kind]im.Limit{im.Chat: {N: 5}}}}, `Options.Limits.User["chat"]|1ms to 24h`},
		{im.Options{Limits: im.Limits{User: map[im.Kind]im.Limit{"nothing": {N: 5, Per: time.Second}}}}, `"nothing"|Options.Kinds`},
		{im.Options{Limits: im.Limits{Role: map[string]map[im.Kind]im.Limit{"vip": {im.Chat: {N: -2}}}}}, `Options.Limits.Role["vip"]["chat"]|N from 1`},
		{im.Options{Limits: im.Limits{Accept: im.Limit{N: 1}}}, `Options.Limits.Accept|Per from`},
		{im.Options{Limits: im.Limits{Entries: 5}}, `Options.Limits.Entries|1,000`},
		{im.Options{Proxies: []netip.Prefix{{}}}, `Options.Proxies[0]|netip.ParsePrefix`},
		{im.Options{Proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("0.0.0.0/0")}}, "Options.Proxies[1]|everybody"},
		{im.Options{Proxies: []netip.Prefix{netip.MustParsePrefix("::ffff:10.0.0.0/104")}}, "Options.Proxies[0]|IPv4"},
		{im.Options{Kinds: []im.KindSpec{{Kind: "Poll", Class: im.Normal}}}, "Options.Kinds[0].Kind|a-z"},
		{im.Options{Kinds: []im.KindSpec{{Kind: "poll"}}}, "Options.Kinds[0].Class|Critical, Normal"},
		{im.Options{Kinds: []im.KindSpec{{Kind: "poll", Class: im.Normal}, {Kind: "poll", Class: im.Normal}}}, "Options.Kinds[1]|second time"},
		{im.Options{Kinds: []im.KindSpec{{Kind: im.Gift, Class: im.Volatile}}}, "Options.Kinds[0].Class|critical"},
		{im.Options{Kinds: []im.KindSpec{{Kind: im.System, Class: im.Critical, From: im.Everyone()}}}, "Options.Kinds[0].From|nil"},
	} {
		_, err := im.New(anybody, &tt.opts)
		if err == nil {
			t.Errorf("New accepted what should fail with %q", tt.parts)
			continue
		}
		for part := range strings.SplitSeq(tt.parts, "|") {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("New said %q; want %q in it", err, part)
			}
		}
	}
	if _, err := im.New(nil, nil); err == nil || !strings.Contains(err.Error(), "Authenticator") {
		t.Errorf("New without an Authenticator: %v", err)
	}
}

func TestNewCopiesItsOptions(t *testing.T) {
	origins := []string{"https://friend.example"}
	limits := im.Limits{User: map[im.Kind]im.Limit{im.Chat: {N: 1, Per: time.Hour}}}
	hub, err := im.New(anybody, &im.Options{Origins: origins, Limits: limits})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = hub.Close() }()
	origins[0] = "https://evil.example"
	limits.User[im.Chat] = im.Unlimited
	limits.User["nothing"] = im.Unlimited
}

func TestHandleRefusesBadNames(t *testing.T) {
	hub, err := im.New(anybody, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = hub.Close() }()
	fn := func(_ context.Context, _ *im.Request) (any, error) { return nil, nil }
	hub.Handle("gift.send", fn)
	for _, name := range []string{"", "gift", ".send", "Gift.send", "gift send", "gift.send", "im.x", "state.x", strings.Repeat("x", 70) + ".y"} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("Handle(%q) did not panic", name)
				}
			}()
			hub.Handle(name, fn)
		}()
	}
}
