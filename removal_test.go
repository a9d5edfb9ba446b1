package im_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest"
)

// Over a restart what was deleted stays so, also where the log has forgotten the deletion and keeps what it was of.
func TestDeletedStaysSoOverARestart(t *testing.T) {
	log, err := im.NewMemoryLog(&im.MemoryLogOptions{KeepEvents: 5})
	if err != nil {
		t.Fatal(err)
	}
	hub, err := im.New(imtest.BearerUser, &im.Options{Log: noEraser{log}, Pressure: calm})
	if err != nil {
		t.Fatal(err)
	}
	room := hub.Room("42")
	for i := range 4 {
		if _, err := room.Send(t.Context(), im.Danmaku, fmt.Sprint("spam ", i), im.AsUser(im.User{ID: fmt.Sprint("u", i%2)})); err != nil {
			t.Fatal(err)
		}
	}
	page, err := room.History(t.Context(), im.HistoryQuery{})
	if err != nil || len(page.Events) != 4 {
		t.Fatalf("%d events, %v", len(page.Events), err)
	}
	for _, what := range []im.Removal{{User: "u0", Kinds: []im.Kind{im.Danmaku}}, {Positions: []im.Position{page.Events[1].Pos}}} {
		if _, err := room.Remove(t.Context(), what); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 6 {
		if _, err := room.Send(t.Context(), im.Chat, i); err != nil {
			t.Fatal(err)
		}
	}
	if err := hub.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	again, err := im.New(imtest.BearerUser, &im.Options{Log: noEraser{log}, Pressure: calm})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = again.Close() }()
	var shown []string
	page, err = again.Room("42").History(t.Context(), im.HistoryQuery{})
	for _, e := range page.Events {
		shown = append(shown, string(e.Kind)+string(e.Body))
	}
	if got := strings.Join(shown, " "); err != nil || got != `danmaku"spam 3" chat1 chat2 chat3 chat4 chat5` {
		t.Errorf("after the restart the room shows %s, %v", got, err)
	}
	raw, err := log.Read(t.Context(), "42", im.Range{Max: math.MaxInt})
	if err != nil || len(raw.Events) != 9 || len(raw.Events[0].Body) == 0 {
		t.Errorf("the log keeps %d events, %v: the test is of those that are hidden", len(raw.Events), err)
	}
}

// noEraser is a MemoryLog that cannot erase.
type noEraser struct{ im.SnapshotLog }

// What the log can erase, it does.
func TestDeletedIsErased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, err := im.NewMemoryLog(nil)
		if err != nil {
			t.Fatal(err)
		}
		faulty := &faultyEraser{MemoryLog: log, faults: 2}
		hub := imtest.NewHub(t, &im.Options{Log: faulty})
		room := hub.Room("42")
		bob := im.AsUser(im.User{ID: "bob"})
		for i := range 1200 {
			kind := []im.Kind{im.Chat, im.Notice}[i%2]
			if _, err := room.Send(t.Context(), kind, "text", bob); err != nil {
				t.Fatal(err)
			}
		}
		last, err := room.Send(t.Context(), im.Gift, "text")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := room.Remove(t.Context(), im.Removal{User: "bob", Positions: []im.Position{last.Pos}}); err != nil {
			t.Fatal(err)
		}
		pass(time.Minute)
		page, err := log.Read(t.Context(), "42", im.Range{Max: 2000})
		if err != nil || len(page.Events) != 1202 || faulty.faults != 0 {
			t.Fatalf("%d events, %v, %d faults left", len(page.Events), err, faulty.faults)
		}
		for _, e := range page.Events {
			if want := e.Kind == im.Notice || e.Kind == im.Moderation; (len(e.Body) > 0) != want {
				t.Fatalf("event %v of kind %s has the body %s", e.Pos, e.Kind, e.Body)
			}
		}
		// A retry finds the first one.
		again, err := room.Remove(t.Context(), im.Removal{User: "bob"})
		if err != nil || again.Pos.Seq != 1203 {
			t.Errorf("%+v, %v", again, err)
		}
	})
}

// faultyEraser fails a few times.
type faultyEraser struct {
	*im.MemoryLog
	faults int
}

// Erase implements im.Eraser. It is called by one goroutine at a time.
func (l *faultyEraser) Erase(ctx context.Context, room string, at []im.Position) error {
	if l.faults > 0 {
		l.faults--
		return errors.New("the disk is full")
	}
	return l.MemoryLog.Erase(ctx, room, at)
}

func TestRemoveRefuses(t *testing.T) {
	hub := imtest.NewHub(t, &im.Options{Kinds: []im.KindSpec{{Kind: "wave", Class: im.Merged}, {Kind: "quiz", Class: im.Critical}}})
	room := hub.Room("42")
	chat, err := room.Send(t.Context(), im.Chat, 1)
	if err != nil {
		t.Fatal(err)
	}
	quiz, err := room.Send(t.Context(), "quiz", 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := room.Set(t.Context(), "k", 1); err != nil {
		t.Fatal(err)
	}
	state, err := room.Position(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	other := func(epoch string, seq uint64) []im.Position { return []im.Position{{Epoch: epoch, Seq: seq}} }
	for name, tt := range map[string]struct {
		what im.Removal
		code im.Code
	}{
		"nothing":             {im.Removal{}, im.CodeBadRequest},
		"kinds of nobody":     {im.Removal{Positions: other(chat.Pos.Epoch, 1), Kinds: []im.Kind{im.Chat}}, im.CodeBadRequest},
		"a time of nobody":    {im.Removal{Positions: other(chat.Pos.Epoch, 1), Since: time.Now()}, im.CodeBadRequest},
		"an invalid user":     {im.Removal{User: "a\n"}, im.CodeBadRequest},
		"an unknown kind":     {im.Removal{User: "a", Kinds: []im.Kind{"dance"}}, im.CodeNotFound},
		"states":              {im.Removal{User: "a", Kinds: []im.Kind{im.State}}, im.CodeBadRequest},
		"a merged kind":       {im.Removal{User: "a", Kinds: []im.Kind{"wave"}}, im.CodeBadRequest},
		"a state":             {im.Removal{Positions: []im.Position{state}}, im.CodeBadRequest},
		"another epoch":       {im.Removal{Positions: other("other", 1)}, im.CodeNotFound},
		"after the head":      {im.Removal{Positions: other(state.Epoch, state.Seq+1000)}, im.CodeNotFound},
		"the start":           {im.Removal{Positions: other(state.Epoch, 0)}, im.CodeNotFound},
		"an unknown id":       {im.Removal{IDs: []string{chat.ID, "unknown"}}, im.CodeNotFound},
		"too many":            {im.Removal{Positions: make([]im.Position, 201)}, im.CodeBadRequest},
		"a long reason":       {im.Removal{User: "a", Reason: strings.Repeat("x", 513)}, im.CodeTooLarge},
		"before 1970":         {im.Removal{User: "a", Since: time.UnixMilli(-5)}, im.CodeBadRequest},
		"two that are there":  {im.Removal{Positions: []im.Position{quiz.Pos}, IDs: []string{chat.ID}}, ""},
		"again":               {im.Removal{Positions: []im.Position{quiz.Pos}}, ""},
		"of a user who never": {im.Removal{User: "nobody", Since: time.UnixMilli(5)}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := room.Remove(t.Context(), tt.what)
			var refusal *im.Error
			switch {
			case tt.code == "" && err != nil:
				t.Error(err)
			case tt.code == "":
				if _, ok := im.DeletionOf(e); !ok || e.Pos.Seq <= state.Seq {
					t.Errorf("the deletion is %+v", e)
				}
			case !errors.As(err, &refusal) || refusal.Code != tt.code:
				t.Errorf("%+v, %v; want %s", e, err, tt.code)
			}
		})
	}
	if _, err := room.Send(t.Context(), im.Moderation, map[string]any{"type": "delete", "seqs": []int{1}}); err == nil {
		t.Error("Room.Send takes a deletion")
	}
	if _, err := room.Send(t.Context(), im.Moderation, map[string]any{"type": "mute", "user": "ann"}); err != nil {
		t.Errorf("Room.Send refuses another ruling: %v", err)
	}
}

// A deletion under an id has one effect, and another one under it is a conflict; a closed room's history is cleaned all the same.
func TestRemoveOnce(t *testing.T) {
	hub := imtest.NewHub(t, nil)
	room := hub.Room("42")
	e, err := room.Send(t.Context(), im.Chat, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := room.Close(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	what := im.Removal{Positions: []im.Position{e.Pos}}
	first, err := room.Remove(t.Context(), what, im.WithID("d-1"), im.AsUser(im.User{ID: "mod"}))
	if err != nil || first.From.ID != "mod" {
		t.Fatalf("%+v, %v", first, err)
	}
	if again, err := room.Remove(t.Context(), what, im.WithID("d-1"), im.AsUser(im.User{ID: "mod"})); err != nil || again.Pos != first.Pos {
		t.Errorf("the retry is at %v, %v", again.Pos, err)
	}
	if _, err := room.Remove(t.Context(), im.Removal{User: "ann"}, im.WithID("d-1")); !errors.Is(err, im.ErrConflict) {
		t.Errorf("another deletion under the id: %v", err)
	}
	page, err := room.History(t.Context(), im.HistoryQuery{})
	if err != nil || len(page.Events) != 1 || page.Events[0].ID != "d-1" {
		t.Errorf("%+v, %v", page, err)
	}
	retry, err := room.Remove(t.Context(), what, im.WithID("bad\n"))
	if err == nil {
		t.Errorf("an invalid id was taken: %+v", retry)
	}
}

// A danmaku that was deleted is counted no more.
func TestTalliesDoNotCountWhatWasDeleted(t *testing.T) {
	bubble(t, &im.Options{Limits: noLimits, Flow: im.Flow{Budget: 10}}, func(t *testing.T, hub *imtest.Hub) {
		viewer := hub.Join("42", user("viewer"))
		crowd := hub.Crowd("42", 10)
		pipeline(t, crowd[0], "42", 0, distinct("fills the budget", 12)...)
		synctest.Wait()
		pipeline(t, crowd[1], "42", 0, "666")
		pipeline(t, crowd[2], "42", 0, "666")
		var spam *im.Event
		for spam == nil {
			if e := viewer.Event(); strings.Contains(string(e.Body), `"666"`) {
				spam = e
			}
		}
		if _, err := hub.Room("42").Remove(t.Context(), im.Removal{IDs: []string{spam.ID}}); err != nil {
			t.Fatal(err)
		}
		for i := range 4 {
			pipeline(t, crowd[3+i], "42", 0, "666")
		}
		merged := uint64(0)
		for _, e := range ofKind(shown(viewer), im.Tally) {
			b, err := im.Decode[im.TallyBody](e)
			if err != nil || b.Counts[spam.ID] != 0 {
				t.Errorf("the room is told %s, %v", e.Body, err)
			}
			merged += b.Merged
		}
		if merged < 4 {
			t.Errorf("%d were merged, want those that came after the deletion", merged)
		}
	})
}

// Whoever deletes reads the room without it right afterwards, whatever others do meanwhile.
func TestRemoveAmongOthers(t *testing.T) {
	hub := imtest.NewHub(t, &im.Options{Limits: noLimits})
	room := hub.Room("42")
	var all sync.WaitGroup
	for worker := range 4 {
		viewer := hub.Connect(user(fmt.Sprint("viewer-", worker)))
		all.Go(func() {
			for round := range 40 {
				text := fmt.Sprintf("%d of %d", round, worker)
				e, err := room.Send(t.Context(), []im.Kind{im.Chat, im.Danmaku, im.Gift}[round%3], text, im.AsUser(im.User{ID: fmt.Sprint("u", worker)}))
				if err != nil {
					t.Error(err)
					return
				}
				what := im.Removal{Positions: []im.Position{e.Pos}}
				if round%4 == 3 {
					what = im.Removal{User: fmt.Sprint("u", worker), Kinds: []im.Kind{e.Kind}}
				}
				if _, err := room.Remove(t.Context(), what); err != nil {
					t.Error(err)
					return
				}
				page, err := room.History(t.Context(), im.HistoryQuery{Newest: true, Max: 30})
				if err != nil {
					t.Error(err)
					return
				}
				entry, err := viewer.TryJoin("42", nil)
				if err != nil {
					t.Error(err)
					return
				}
				for _, found := range append(page.Events, entry.Events...) {
					if found.ID == e.ID {
						t.Errorf("%s is shown after it was deleted", text)
					}
				}
				viewer.Leave("42")
			}
		})
	}
	all.Wait()
}
