package moderate_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest"
	"github.com/liveim/im/moderate"
)

// contains is a check of one word.
func contains(word string, v moderate.Verdict) moderate.Check {
	return func(_ context.Context, m *moderate.Message) (moderate.Verdict, error) {
		if !strings.Contains(m.Text, word) {
			return moderate.Verdict{}, nil
		}
		if v.Action == moderate.Mask {
			v.Text = strings.ReplaceAll(m.Text, word, "***")
		}
		return v, nil
	}
}

func TestChecks(t *testing.T) {
	o := &moderate.Options{Checks: []moderate.Check{
		contains("damn", moderate.Verdict{Action: moderate.Mask, Rule: "list", Reason: "a mild word"}),
		contains("spam", moderate.Verdict{Action: moderate.Block, Rule: "list", Reason: "advertising"}),
		contains("buy", moderate.Verdict{Action: moderate.Hold, Rule: "list", Reason: "may be advertising"}),
	}}
	bubble(t, o, func(t *testing.T, hub *imtest.Hub, mod *moderate.Moderation) {
		boss, ann, bob := hub.Join("42", user("mod", "moderator")), hub.Join("42", user("ann")), hub.Join("42", user("bob"))
		if r, err := bob.Send(im.Chat, map[string]string{"text": "damn it", "color": "red"}); err != nil || r.Status != im.StatusOK {
			t.Errorf("a masked one: %+v, %v", r, err)
		}
		if _, err := bob.Send(im.Chat, "spam"); code(err) != im.CodeForbidden || strings.Contains(err.Error(), "advertising") {
			t.Errorf("a blocked one: %v", err)
		}
		r, err := bob.Send(im.Chat, "buy this")
		if err != nil || r.Status != im.StatusHeld {
			t.Fatalf("a held one: %+v, %v", r, err)
		}
		if _, err := boss.Send(im.Chat, "spam is not allowed"); err != nil {
			t.Errorf("the staff: %v", err)
		}
		waits := next(t, boss, "direct")
		if !strings.Contains(string(waits.Event.Body), "buy this") || !strings.Contains(string(waits.Event.Body), `"waiting"`) {
			t.Errorf("the staff is told %s", waits.Event.Body)
		}
		if got := strings.Join(texts(ann), " "); got != `{"color":"red","text":"*** it"} "spam is not allowed"` {
			t.Errorf("the others see %s", got)
		}
		must(t, boss, "mod.pass", `{"event":"`+r.Event+`"}`)
		if got := strings.Join(texts(ann), " "); got != `"buy this"` {
			t.Errorf("then they see %s", got)
		}
		if fate := next(t, bob, "fate"); fate.Status != im.StatusOK {
			t.Errorf("he is told %+v", fate)
		}
		if err := call(t, boss, "mod.pass", `{"event":"`+r.Event+`"}`, nil); code(err) != im.CodeNotFound {
			t.Errorf("passed twice: %v", err)
		}
		var why struct{ Decisions []moderate.Decision }
		if err := call(t, boss, "mod.why", `{"user":"bob"}`, &why); err != nil {
			t.Fatal(err)
		}
		var actions []string
		for _, d := range why.Decisions {
			actions = append(actions, d.Action)
		}
		if got := strings.Join(actions, " "); got != "pass hold block mask" || why.Decisions[2].Reason != "advertising" || why.Decisions[0].By != "mod" {
			t.Errorf("why is %s: %+v", got, why.Decisions)
		}
	})
}

// Where messages need approval, they wait, are listed for the staff, and end one way or the other; a retry meets the first.
func TestApproval(t *testing.T) {
	bubble(t, &moderate.Options{Queue: 2, QueueFor: 5 * time.Second}, func(t *testing.T, hub *imtest.Hub, mod *moderate.Moderation) {
		boss, ann, bob := hub.Join("42", user("mod", "moderator")), hub.Join("42", user("ann")), hub.Join("42", user("bob"))
		must(t, boss, "mod.approval", `{"kinds":["chat"]}`)
		if r, err := bob.Send(im.Danmaku, "free"); err != nil || r.Status != im.StatusOK {
			t.Errorf("another kind: %+v, %v", r, err)
		}
		one, err := bob.SendTo("42", im.Chat, "c-1", "one")
		again, err2 := bob.SendTo("42", im.Chat, "c-1", "one")
		if err != nil || err2 != nil || one.Status != im.StatusHeld || again != one {
			t.Fatalf("%+v, %v; again %+v, %v", one, err, again, err2)
		}
		two, _ := bob.SendTo("42", im.Chat, "c-2", "two")
		if _, err := bob.SendTo("42", im.Chat, "c-3", "three"); code(err) != im.CodeOverloaded {
			t.Errorf("a full queue: %v", err)
		}
		var list struct{ Waiting []moderate.Waiting }
		if err := call(t, boss, "mod.waiting", `{}`, &list); err != nil || len(list.Waiting) != 2 || list.Waiting[0].Event != one.Event {
			t.Fatalf("waiting are %+v (%v)", list, err)
		}
		must(t, boss, "mod.refuse", `{"event":"`+two.Event+`","reason":"no"}`)
		if fate := next(t, bob, "fate"); fate.CID != "c-2" || fate.Reason != "no" {
			t.Errorf("he is told %+v", fate)
		}
		if _, err := bob.SendTo("42", im.Chat, "c-2", "two"); code(err) != im.CodeForbidden {
			t.Errorf("refused, and tried again: %v", err)
		}
		<-time.After(5 * time.Second)
		if fate := next(t, bob, "fate"); fate.CID != "c-1" || fate.Code != im.CodeForbidden {
			t.Errorf("after the time he is told %+v", fate)
		}
		if got := texts(ann); !slices.Equal(got, []string{`"free"`}) {
			t.Errorf("the others saw %v", got)
		}
		four, _ := bob.SendTo("42", im.Chat, "c-4", "four")
		must(t, boss, "mod.approval", `{}`)
		if r, err := bob.SendTo("42", im.Chat, "c-5", "five"); err != nil || r.Status != im.StatusOK {
			t.Errorf("without approval: %+v, %v", r, err)
		}
		if err := mod.Pass(t.Context(), "42", four.Event, ""); err != nil {
			t.Error(err)
		}
		if r, err := bob.SendTo("42", im.Chat, "c-4", "four"); err != nil || r.Status != im.StatusOK || r.Event != four.Event {
			t.Errorf("a retry of what was passed: %+v, %v", r, err)
		}
		if got := texts(ann); !slices.Equal(got, []string{`"five"`, `"four"`}) {
			t.Errorf("then they saw %v", got)
		}
	})
}

func TestClassifier(t *testing.T) {
	bubble(t, nil, func(t *testing.T, _ *imtest.Hub, _ *moderate.Moderation) {
		m := &moderate.Message{Text: "hi"}
		check := moderate.Classify("model", time.Second, moderate.Hold, func(ctx context.Context, m *moderate.Message) (moderate.Verdict, error) {
			switch m.Text {
			case "bad":
				return moderate.Verdict{Action: moderate.Block}, nil
			case "error":
				return moderate.Verdict{}, errors.New("no model")
			case "panic":
				panic("oops")
			case "hang":
				<-ctx.Done()
				<-time.After(time.Second)
			}
			return moderate.Verdict{}, nil
		})
		for text, want := range map[string]moderate.Action{"good": moderate.Allow, "bad": moderate.Block, "error": moderate.Hold, "panic": moderate.Hold, "hang": moderate.Hold} {
			m.Text = text
			began := time.Now()
			v, err := check(t.Context(), m)
			if err != nil || v.Action != want || time.Since(began) > time.Second {
				t.Errorf("%s: %+v, %v after %v", text, v, err, time.Since(began))
			}
			if v.Action != moderate.Allow && (v.Rule != "model" || want == moderate.Hold && v.Reason == "") {
				t.Errorf("%s: the staff is told %+v", text, v)
			}
		}
		<-time.After(time.Second) // what hangs ends
	})
}

func TestPinsReportsAndAnnouncements(t *testing.T) {
	var reported []moderate.Report
	o := &moderate.Options{OnReport: func(_ string, r moderate.Report) { reported = append(reported, r) }}
	bubble(t, o, func(t *testing.T, hub *imtest.Hub, mod *moderate.Moderation) {
		boss, ann, bob := hub.Join("42", user("mod", "moderator")), hub.Join("42", user("ann")), hub.Join("42", user("bob"))
		if _, err := bob.Send(im.Chat, map[string]string{"text": "look at me"}); err != nil {
			t.Fatal(err)
		}
		head, err := hub.Room("42").Position(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		seq, _ := json.Marshal(head.Seq)
		for range 2 { // the same user counts once
			must(t, ann, "mod.report", `{"seq":`+string(seq)+`,"reason":"vain"}`)
		}
		must(t, boss, "mod.report", `{"seq":`+string(seq)+`}`)
		list := mod.Reports("42")
		if len(list) != 1 || list[0].Count != 2 || list[0].User != "bob" || len(reported) != 2 || !slices.Equal(list[0].Reasons, []string{"vain"}) {
			t.Errorf("reported is %+v", list)
		}
		must(t, boss, "mod.resolve", `{"id":"`+list[0].ID+`"}`)
		if err := call(t, boss, "mod.resolve", `{"id":"`+list[0].ID+`"}`, nil); code(err) != im.CodeNotFound {
			t.Errorf("resolved twice: %v", err)
		}
		if err := call(t, ann, "mod.report", `{"seq":1000}`, nil); code(err) != im.CodeNotFound {
			t.Errorf("a report of nothing: %v", err)
		}

		must(t, boss, "mod.pin", `{"seq":`+string(seq)+`,"ms":5000}`)
		must(t, boss, "mod.pin", `{"id":"rules","text":"be kind"}`)
		pins, err := mod.Pins(t.Context(), "42")
		if err != nil || len(pins) != 2 || !slices.ContainsFunc(pins, func(p moderate.Pin) bool { return p.Text == "look at me" && p.From == "bob" }) {
			t.Errorf("pinned is %+v (%v)", pins, err)
		}
		if entry := hub.Connect(user("eve")).Join("42", nil); len(entry.State) != 2 {
			t.Errorf("who joins sees %s", entry.State)
		}
		<-time.After(6 * time.Second)
		must(t, boss, "mod.unpin", `{"id":"rules"}`)
		if pins, err = mod.Pins(t.Context(), "42"); err != nil || len(pins) != 0 {
			t.Errorf("pinned is %+v (%v)", pins, err)
		}
		must(t, boss, "mod.announce", `{"text":"we begin"}`)
		must(t, boss, "mod.modes", `{"modes":{"slow_ms":5000}}`)
		if m, _, err := hub.Room("42").Modes(t.Context()); err != nil || m.Slow != 5*time.Second {
			t.Errorf("the modes are %+v (%v)", m, err)
		}
	})
}

func TestDelete(t *testing.T) {
	bubble(t, nil, func(t *testing.T, hub *imtest.Hub, _ *moderate.Moderation) {
		boss, bob, host := hub.Join("42", user("mod", "moderator")), hub.Join("42", user("bob")), hub.Join("42", user("ann", "host"))
		for _, text := range []string{"one", "two", "three"} {
			if _, err := bob.Send(im.Chat, text); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := host.Send(im.Chat, "from above"); err != nil {
			t.Fatal(err)
		}
		left := func() (all []string) {
			page, err := hub.Room("42").History(t.Context(), im.HistoryQuery{Kinds: []im.Kind{im.Chat}})
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range page.Events {
				all = append(all, string(e.Body))
			}
			return all
		}
		page, _ := hub.Room("42").History(t.Context(), im.HistoryQuery{})
		seq := func(i int) string { b, _ := json.Marshal(page.Events[i].Pos.Seq); return string(b) }
		must(t, boss, "mod.delete", `{"seqs":[`+seq(1)+`],"reason":"off topic"}`)
		if got := left(); !slices.Equal(got, []string{`"one"`, `"three"`, `"from above"`}) {
			t.Errorf("left is %v", got)
		}
		if err := call(t, boss, "mod.delete", `{"seqs":[`+seq(3)+`]}`, nil); code(err) != im.CodeForbidden {
			t.Errorf("a message of the host: %v", err)
		}
		must(t, boss, "mod.delete", `{"user":"bob"}`)
		if got := left(); !slices.Equal(got, []string{`"from above"`}) {
			t.Errorf("left is %v", got)
		}
	})
}

// What a user has waiting goes with the user: what waits for approval, and what waits for the room's delay.
func TestSanctionsDropWhatWaits(t *testing.T) {
	for _, room := range []string{"42", ""} {
		bubble(t, nil, func(t *testing.T, hub *imtest.Hub, mod *moderate.Moderation) {
			bob, ann := hub.Join("42", user("bob")), hub.Join("42", user("ann"))
			if _, err := hub.Room("42").SetModes(t.Context(), im.Modes{Delay: 10 * time.Second}); err != nil {
				t.Fatal(err)
			}
			if r, err := bob.SendTo("42", im.Danmaku, "c-1", "delayed"); err != nil || r.Status != im.StatusHeld {
				t.Fatalf("%+v, %v", r, err)
			}
			if err := mod.SetApproval(t.Context(), "42", moderate.Approval{Kinds: []im.Kind{im.Chat}}, ""); err != nil {
				t.Fatal(err)
			}
			for _, v := range []*imtest.Viewer{bob, ann} {
				if r, err := v.SendTo("42", im.Chat, "c-2", "waits"); err != nil || r.Status != im.StatusHeld {
					t.Fatalf("%+v, %v", r, err)
				}
			}
			if _, err := mod.Impose(t.Context(), room, moderate.Mute, moderate.Target{User: "bob"}, time.Minute, "", ""); err != nil {
				t.Fatal(err)
			}
			if left := mod.Waiting("42"); len(left) != 1 || left[0].From.ID != "ann" {
				t.Errorf("waiting are %+v", left)
			}
			if held := hub.Room("42").Held(); len(held) != 0 {
				t.Errorf("held are %+v", held)
			}
		})
	}
}
