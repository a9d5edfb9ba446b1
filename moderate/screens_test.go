package moderate_test

import (
	"strings"
	"testing"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest"
	"github.com/liveim/im/moderate"
	"github.com/liveim/im/moderate/text"
	"github.com/liveim/im/moderate/words"
)

// The checks that the packages text and words bring, in the order that a host would give them.
func TestTheChecksOfThePackages(t *testing.T) {
	var live words.Live
	if err := live.Load(strings.NewReader("加微信\tblock\tadvert\ndamn\tmask\ncasino\thold\n")); err != nil {
		t.Fatal(err)
	}
	links, err := text.NewLinks(&text.LinkOptions{Allow: []string{"example.com"}})
	if err != nil {
		t.Fatal(err)
	}
	flood, err := text.NewFlood(nil)
	if err != nil {
		t.Fatal(err)
	}
	o := &moderate.Options{Checks: []moderate.Check{
		moderate.Text(&text.Policy{MaxGraphemes: 40}), moderate.Words(&live), moderate.Links(links), moderate.Repeats(flood, false, nil),
	}}
	bubble(t, o, func(t *testing.T, hub *imtest.Hub, mod *moderate.Moderation) {
		bob := hub.Join("42", user("bob"))
		for _, tt := range []struct {
			text string
			code im.Code
			rule string
		}{
			{"hello there", "", ""},
			{"gg\u202ewp", "", "text"},
			{strings.Repeat("x", 41), im.CodeForbidden, "text"},
			{"加 微-信", im.CodeForbidden, "加微信"},
			{"d4mn it", "", "damn"},
			{"see evil dot com slash x", im.CodeForbidden, "links"},
			{"see https://example.com/x", "", ""},
		} {
			_, err := bob.Send(im.Chat, map[string]string{"text": tt.text})
			if code(err) != tt.code {
				t.Errorf("%q: %v, want %q", tt.text, err, tt.code)
			}
			why := mod.Why("42", "bob", "")
			if tt.rule != "" && (len(why) == 0 || why[0].Rule != tt.rule || why[0].Reason == "") {
				t.Errorf("%q is explained by %+v", tt.text, why)
			}
			<-time.After(4 * time.Second)
			for ok := true; ok; {
				_, ok = bob.TryNext(time.Millisecond)
			}
		}
		for i := range 4 {
			_, err = bob.Send(im.Chat, "the same over and over"+strings.Repeat("!", i))
		}
		if e, ok := err.(*im.Error); !ok || e.Code != im.CodeRateLimited || e.RetryAfter <= 0 {
			t.Errorf("the fourth time: %v", err)
		}
	})
}
