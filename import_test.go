package im_test

import (
	"errors"
	"testing"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest"
)

func TestImportShowsAndDoesNothingElse(t *testing.T) {
	bubble(t, nil, func(t *testing.T, hub *imtest.Hub) {
		v := hub.Join("42", user("ann"))
		room := hub.Room("42")
		events := []*im.Event{
			{ID: "g", Kind: im.Gift, At: at(1), From: im.Author{ID: "bob", Name: "Bob"}, Body: []byte(`{"name":"rose"}`)},
			{ID: "d", Kind: im.Danmaku, At: at(2), N: 12, Body: []byte(`"hi"`)},
			{ID: "s", Kind: im.State, At: at(2), Body: []byte(`{"key":"slide","value":3,"if":77}`)},
			{ID: "l", Kind: im.Like, At: at(3), Body: []byte(`{"n":5}`)},
		}
		for _, want := range []im.AppendStatus{im.Stored, im.Duplicate} {
			results, err := room.Import(t.Context(), events)
			if err != nil || len(results) != len(events) {
				t.Fatalf("%v, %v", results, err)
			}
			for i, r := range results {
				if r.Status != want {
					t.Errorf("%s is %v, want %v", events[i].ID, r.Status, want)
				}
			}
			page, err := room.History(t.Context(), im.HistoryQuery{})
			if err != nil || len(page.Events) != len(events) {
				t.Fatalf("the history has %d events, %v", len(page.Events), err)
			}
			if e := page.Events[1]; !e.At.Equal(at(2)) || e.N != 12 || e.Class != im.Volatile {
				t.Errorf("%+v", e)
			}
		}
		if e := v.Event(); e.Kind != im.Gift || e.From.ID != "bob" {
			t.Errorf("a viewer sees %+v", e)
		}
		if value, _, err := room.State().Get(t.Context(), "slide"); err != nil || string(value) != "3" {
			t.Errorf("the state is %s, %v", value, err)
		}
		other := *events[0]
		other.Body = []byte(`{"name":"rocket"}`)
		if results, err := room.Import(t.Context(), []*im.Event{&other}); err != nil || results[0].Status != im.Conflict {
			t.Errorf("other content under the same id: %v, %v", results, err)
		}
		if events[0].Class != 0 || events[0].Digest != "" {
			t.Errorf("what was passed in is changed: %+v", events[0])
		}
	})
}

func TestImportRefuses(t *testing.T) {
	bubble(t, nil, func(t *testing.T, hub *imtest.Hub) {
		room := hub.Room("42")
		good := im.Event{ID: "a", Kind: im.Chat, At: at(0), Body: []byte(`"x"`)}
		for name, change := range map[string]func(e *im.Event){
			"no id":            func(e *im.Event) { e.ID = "" },
			"no time":          func(e *im.Event) { e.At = time.Time{} },
			"unknown kind":     func(e *im.Event) { e.Kind = "nonsense" },
			"system":           func(e *im.Event) { e.Kind, e.Body = im.System, []byte(`{"type":"close"}`) },
			"moderation":       func(e *im.Event) { e.Kind = im.Moderation },
			"modes":            func(e *im.Event) { e.Kind, e.Body = im.State, []byte(`{"key":"im.modes","value":{"stopped":true}}`) },
			"no change":        func(e *im.Event) { e.Kind = im.State },
			"no JSON":          func(e *im.Event) { e.Body = []byte(`{`) },
			"large":            func(e *im.Event) { e.Body = append(append([]byte{'"'}, make([]byte, 5000)...), '"') },
			"bad author":       func(e *im.Event) { e.From.ID = "\n" },
			"negative count":   func(e *im.Event) { e.N = -1 },
			"earlier by a lot": func(e *im.Event) { e.At = at(-11) },
		} {
			bad := good
			bad.ID = "b"
			change(&bad)
			if _, err := room.Import(t.Context(), []*im.Event{&good, &bad}); err == nil {
				t.Errorf("%s: it is taken", name)
			}
		}
		if page, err := room.History(t.Context(), im.HistoryQuery{}); err != nil || len(page.Events) != 0 {
			t.Errorf("%d events were stored all the same, %v", len(page.Events), err)
		}
		if results, err := room.Import(t.Context(), nil); err != nil || results != nil {
			t.Errorf("nothing: %v, %v", results, err)
		}
		if err := room.Close(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		if _, err := room.Import(t.Context(), []*im.Event{&good}); !errors.Is(err, im.ErrRoomClosed) {
			t.Errorf("into a closed room: %v", err)
		}
	})
}
