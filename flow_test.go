package im_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest"
)

// noLimits lets flow control be tested without the limits of users.
var noLimits = im.Limits{User: map[im.Kind]im.Limit{im.Danmaku: im.Unlimited}, Connection: im.Unlimited}

// pipeline has a viewer send many danmaku without waiting for the answers.
func pipeline(t *testing.T, v *imtest.Viewer, room string, from int, texts ...string) {
	t.Helper()
	for i, text := range texts {
		body, _ := json.Marshal(map[string]string{"text": text})
		if err := v.Raw(fmt.Sprintf(`{"op":"send","id":%d,"room":%q,"kind":"danmaku","body":%s}`, 1000+from+i, room, body)); err != nil {
			t.Fatal(err)
		}
	}
}

func distinct(prefix string, n int) []string {
	texts := make([]string, n)
	for i := range texts {
		texts[i] = fmt.Sprintf("%s %c%c", prefix, 'a'+i/26, 'a'+i%26)
	}
	return texts
}

// shown returns what a viewer is shown of a kind until it is silent for a while.
func shown(v *imtest.Viewer) (events []*im.Event) {
	for {
		u, ok := v.TryNext(3 * time.Second)
		if !ok {
			return events
		}
		if u.Event != nil {
			events = append(events, u.Event)
		}
	}
}

func ofKind(events []*im.Event, k im.Kind) (list []*im.Event) {
	for _, e := range events {
		if e.Kind == k {
			list = append(list, e)
		}
	}
	return list
}

func TestCalmRoomSendsAtOnce(t *testing.T) {
	bubble(t, &im.Options{Limits: noLimits}, func(t *testing.T, hub *imtest.Hub) {
		crowd := hub.Crowd("42", 40)
		begin := time.Now()
		for _, v := range crowd { // all the same, and yet everyone's own
			r, err := v.Send(im.Danmaku, map[string]string{"text": "666"})
			if err != nil || r.Status != im.StatusOK {
				t.Fatalf("got %+v, %v", r, err)
			}
		}
		if d := time.Since(begin); d > 0 {
			t.Errorf("a calm room took %v", d)
		}
		if got := len(ofKind(shown(crowd[0]), im.Danmaku)); got != len(crowd) {
			t.Errorf("%d are shown, want %d", got, len(crowd))
		}
	})
}

func TestOverloadHoldsTheBudget(t *testing.T) {
	bubble(t, &im.Options{Limits: noLimits}, func(t *testing.T, hub *imtest.Hub) {
		viewer := hub.Join("42", user("viewer"))
		crowd := hub.Crowd("42", 20)
		for range 20 { // twenty rounds of 100 ms: 200 a second
			for i, v := range crowd {
				pipeline(t, v, "42", 0, distinct(fmt.Sprintf("from %d at %d", i, time.Now().UnixMilli()), 1)...)
			}
			<-time.After(100 * time.Millisecond) // virtual
		}
		events := shown(viewer)
		danmaku := ofKind(events, im.Danmaku)
		for i, e := range danmaku {
			if i >= 50 && e.At.Sub(danmaku[i-50].At) < time.Second {
				t.Fatalf("51 were shown within %v", e.At.Sub(danmaku[i-50].At))
			}
		}
		s := hub.Stats()
		if s.Offered != 400 || s.Shown+s.Merged+s.Shed != s.Offered || int(s.Shown) != len(danmaku) {
			t.Errorf("%d were shown to the viewer; Stats: %d offered, %d shown, %d merged, %d shed", len(danmaku), s.Offered, s.Shown, s.Merged, s.Shed)
		}
		if s.Shown < 100 {
			t.Errorf("only %d were shown within 2 s and some", s.Shown)
		}
		var told im.TallyBody
		for _, e := range ofKind(events, im.Tally) {
			b, err := im.Decode[im.TallyBody](e)
			if err != nil {
				t.Fatal(err)
			}
			told.Shed += b.Shed
			told.Merged += b.Merged
		}
		if told.Shed != s.Shed || told.Merged != s.Merged {
			t.Errorf("the room was told of %d shed and %d merged; Stats say %d and %d", told.Shed, told.Merged, s.Shed, s.Merged)
		}
	})
}

func TestEqualTextsBecomeOne(t *testing.T) {
	bubble(t, &im.Options{Limits: noLimits, Flow: im.Flow{Budget: 10}}, func(t *testing.T, hub *imtest.Hub) {
		viewer := hub.Join("42", user("viewer"))
		crowd := hub.Crowd("42", 10)
		pipeline(t, crowd[0], "42", 0, distinct("fills the budget", 12)...)
		synctest.Wait()
		for i, text := range []string{"666", "６６６", "6666666", "666！"} {
			pipeline(t, crowd[1+i], "42", 0, text)
		}
		var n, into int
		var id string
		for _, e := range shown(viewer) {
			switch {
			case e.Kind == im.Danmaku && strings.Contains(string(e.Body), `"666"`):
				n, id = e.N, e.ID
			case e.Kind == im.Tally:
				b, _ := im.Decode[im.TallyBody](e)
				into = max(into, b.Counts[id])
			}
		}
		if max(n, into) != 4 {
			t.Errorf("666 was shown as one of %d, and then of %d; want 4", n, into)
		}
		answers := map[im.Status]int{}
		for _, v := range crowd[1:5] {
			answers[answerTo(t, v).Status]++
		}
		if answers[im.StatusOK] != 1 || answers[im.StatusMerged] != 3 {
			t.Errorf("the senders were told %v", answers)
		}
	})
}

// answerTo returns the next ack that a viewer gets.
func answerTo(t *testing.T, v *imtest.Viewer) imtest.Update {
	t.Helper()
	for {
		u, ok := v.TryNext(3 * time.Second)
		if !ok {
			t.Fatal("there is no answer")
		}
		if u.Op == "ack" || u.Op == "error" {
			return u
		}
	}
}

func TestHostsGoFirst(t *testing.T) {
	bubble(t, &im.Options{Limits: noLimits}, func(t *testing.T, hub *imtest.Hub) {
		flood := hub.Join("42", user("flood"))
		host := hub.Join("42", user("host", "host"))
		pipeline(t, flood, "42", 0, distinct("more than anybody reads", 200)...)
		synctest.Wait()
		for i := range 10 { // what is reserved
			begin := time.Now()
			r, err := host.Send(im.Danmaku, map[string]string{"text": fmt.Sprint("stay calm ", i)})
			if err != nil || r.Status != im.StatusOK || time.Since(begin) > 0 {
				t.Fatalf("message %d of the host: %+v, %v, after %v", i, r, err, time.Since(begin))
			}
		}
	})
}

func TestShedSaysWhy(t *testing.T) {
	bubble(t, &im.Options{Limits: noLimits, Flow: im.Flow{Budget: 1, Reserve: -1}}, func(t *testing.T, hub *imtest.Hub) {
		v := hub.Join("42", user("ann"))
		if r, err := v.Send(im.Danmaku, "first"); err != nil || r.Status != im.StatusOK {
			t.Fatalf("%+v, %v", r, err)
		}
		begin := time.Now()
		second := hub.Join("42", user("bob"))
		pipeline(t, second, "42", 0, "this one waits", "and so does this")
		for range 2 {
			u := answerTo(t, second)
			if u.Status == im.StatusShed && u.Reason == "" {
				t.Errorf("shed without a reason: %+v", u)
			}
		}
		if d := time.Since(begin); d > 1100*time.Millisecond {
			t.Errorf("the answers took %v", d)
		}
	})
}

// TestPostWaitsForItsFate sends without a connection to a room that is over its
// budget.
func TestPostWaitsForItsFate(t *testing.T) {
	_, url := serve(t, imtest.BearerUser, &im.Options{Limits: noLimits, Flow: im.Flow{Budget: 1, Reserve: -1}}, nil, nil)
	var requests []string
	for i, text := range distinct("by post", 5) {
		requests = append(requests, fmt.Sprintf(`{"op":"send","id":%d,"room":"42","kind":"danmaku","body":{"text":%q}}`, i+1, text))
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http"+strings.TrimSuffix(strings.TrimPrefix(url, "ws"), "/ws")+"/send", strings.NewReader("["+strings.Join(requests, ",")+"]"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer ann")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answers []struct {
		ID     int
		Status im.Status
	}
	if err := json.NewDecoder(resp.Body).Decode(&answers); err != nil {
		t.Fatal(err)
	}
	counts := map[im.Status]int{}
	for _, a := range answers {
		counts[a.Status]++
	}
	if len(answers) != 5 || counts[im.StatusOK] == 0 || counts[im.StatusOK]+counts[im.StatusShed] != 5 {
		t.Errorf("got %d answers: %v", len(answers), counts)
	}
}

// A hook that fails makes a message an ordinary one.
func TestWeightPanics(t *testing.T) {
	flow := im.Flow{Weight: func(im.User, im.Kind) int { panic("no idea") }}
	bubble(t, &im.Options{Limits: noLimits, Flow: flow}, func(t *testing.T, hub *imtest.Hub) {
		v := hub.Join("42", user("ann"))
		for i := range 3 {
			if r, err := v.Send(im.Danmaku, i); err != nil || r.Status != im.StatusOK {
				t.Fatalf("%+v, %v", r, err)
			}
		}
	})
}

func TestFlowOptions(t *testing.T) {
	for _, tt := range []struct {
		flow im.Flow
		want string
	}{
		{im.Flow{Budget: -2}, "Options.Flow.Budget"},
		{im.Flow{Budget: 10_001}, "Options.Flow.Budget"},
		{im.Flow{Budget: 10, Reserve: 10}, "Options.Flow.Reserve"},
		{im.Flow{Reserve: -2}, "Options.Flow.Reserve"},
	} {
		if _, err := im.New(imtest.BearerUser, &im.Options{Flow: tt.flow}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: got %v, want an error that names %s", tt.flow, err, tt.want)
		}
	}
}
