package im_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest"
	rec "github.com/liveim/im/recording"
)

// What a moderator deletes is gone within a second from all that read: viewers on each transport are told, and
// no byte of it goes to anybody afterwards, be it by entering, by resuming, by history, replay or a recording.
func TestDeletedIsGoneEverywhere(t *testing.T) {
	eachPath(t, func(t *testing.T, p ioPath, _ bool) {
		hub, c := serveWeb(t, &im.Options{IO: p.io})
		t.Cleanup(webClient.CloseIdleConnections)
		room := hub.Room("42")
		start, err := room.Send(t.Context(), im.Notice, "welcome")
		if err != nil {
			t.Fatal(err)
		}
		ways := c.transports("ws" + strings.TrimPrefix(c.base, "http") + "/ws")
		tapes := map[string]*tape{}
		for way, watch := range ways {
			tapes[way] = watch(t, "room=42")
			tapes[way].until(t, "welcome")
		}
		mallory, bob := im.AsUser(im.User{ID: "mallory"}), im.AsUser(im.User{ID: "bob"})
		send := func(kind im.Kind, body string, from im.SendOption) *im.Event {
			t.Helper()
			e, err := room.Send(t.Context(), kind, map[string]string{"text": body}, from)
			if err != nil {
				t.Fatal(err)
			}
			return e
		}
		send(im.Chat, "spam one", mallory)
		send(im.Danmaku, "spam two", mallory)
		gift := send(im.Gift, "spam three", bob)
		chat := send(im.Chat, "spam four", bob)
		send(im.Gift, "good one", mallory) // a gift is not among the kinds by default
		send(im.Chat, "good two", bob)
		for _, tape := range tapes {
			tape.until(t, "good two")
		}

		before := time.Now()
		deletion, err := room.Remove(t.Context(), im.Removal{Positions: []im.Position{gift.Pos}, IDs: []string{chat.ID}, User: "mallory", Reason: "be nice"})
		if err != nil {
			t.Fatal(err)
		}
		send(im.Danmaku, "good three", mallory) // later ones are not deleted
		for way, tape := range tapes {
			tape.until(t, "good three")
			if took := tape.at.Sub(before); took > time.Second {
				t.Errorf("%s was told after %v", way, took)
			}
			tape.clean(t, way, tape.told)
		}
		for way, watch := range ways {
			fresh := watch(t, "room=42")
			resumed := watch(t, fmt.Sprintf("room=42&since=%v", start.Pos))
			middle := watch(t, fmt.Sprintf("room=42&since=%v", gift.Pos))
			for what, tape := range map[string]*tape{"a fresh entry": fresh, "a resumed one": resumed, "one in the middle": middle} {
				tape.until(t, "good three")
				tape.until(t, `"delete"`)
				tape.clean(t, way+", "+what, 0)
			}
			resumed.until(t, `"recovered":true`)
			resumed.until(t, "good one")
		}
		checkHistoryClean(t, c, room, deletion)
	})
}

// checkHistoryClean looks for what was deleted in all that reads the log.
func checkHistoryClean(t *testing.T, c *web, room *im.Room, deletion *im.Event) {
	t.Helper()
	var all bytes.Buffer
	for _, query := range []string{"max=100", "newest=1&max=100", "newest=1&max=3", "kinds=chat,danmaku,gift", fmt.Sprintf("from=%d", time.Now().Add(-time.Minute).UnixMilli())} {
		resp := c.do(t.Context(), "GET", "/rooms/42/history?"+query, "", nil)
		if _, err := io.Copy(&all, resp.Body); err != nil || resp.StatusCode != 200 {
			t.Fatalf("%s: %d, %v", query, resp.StatusCode, err)
		}
	}
	for page, err := range room.Pages(t.Context(), im.HistoryQuery{Max: 2}) {
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.Events {
			all.Write(e.Body)
		}
	}
	replay, err := room.Replay(t.Context(), im.ReplayOptions{Speed: im.MaxReplaySpeed})
	if err != nil {
		t.Fatal(err)
	}
	defer replay.Close()
	for e := range replay.Events() {
		all.Write(e.Body)
	}
	if _, err := rec.WriteJSONLines(t.Context(), &all, room, im.HistoryQuery{}); err != nil {
		t.Fatal(err)
	}
	if _, err := rec.WriteXML(t.Context(), &all, room, im.HistoryQuery{}, nil); err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(all.Bytes(), []byte("spam")) || bytes.Count(all.Bytes(), []byte("good one")) < 4 || !bytes.Contains(all.Bytes(), deletion.Body) {
		t.Errorf("what reads the log shows %s", all.Bytes())
	}
}

// A slow viewer, who has yet to get what is deleted, does not get it; nor do those of a crowd that enters.
func TestDeletedIsNotSentToTheSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := imtest.NewHub(t, nil)
		room := hub.Room("42")
		slow := hub.ConnectSlow(user("slow"), 256)
		slow.Join("42", nil)
		send := func(kind im.Kind, text string) *im.Event {
			t.Helper()
			e, err := room.Send(t.Context(), kind, text, im.AsUser(im.User{ID: "mallory"}))
			if err != nil {
				t.Fatal(err)
			}
			pass(300 * time.Millisecond)
			return e
		}
		for i := range 5 {
			send(im.Chat, fmt.Sprintf("filler %d %200d", i, 0))
		}
		spam := send(im.Chat, "spam")
		send(im.Gift, "a gift")
		if _, err := room.Remove(t.Context(), im.Removal{Positions: []im.Position{spam.Pos}}); err != nil {
			t.Fatal(err)
		}
		events, told := 0, false
		for !told {
			e := slow.Event()
			events++
			if bytes.Contains(e.Body, []byte("spam")) {
				t.Fatalf("the slow viewer gets %s", e.Body)
			}
			_, told = im.DeletionOf(e)
		}
		if events != 7 {
			t.Errorf("the slow viewer got %d events, want 7: the others and the deletion", events)
		}
	})
}

func TestACrowdDoesNotEnterWithWhatWasDeleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := imtest.NewHub(t, nil)
		room := hub.Room("42")
		spam, err := room.Send(t.Context(), im.Chat, "spam")
		if err != nil {
			t.Fatal(err)
		}
		entered := func() (n int) {
			for range 3 {
				n += len(hub.Connect(user("u")).Join("42", nil).Events)
			}
			return n
		}
		if n := entered(); n != 3 {
			t.Fatalf("three enter with %d events", n)
		}
		if _, err := room.Remove(t.Context(), im.Removal{Positions: []im.Position{spam.Pos}}); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			for _, e := range hub.Connect(user("u")).Join("42", nil).Events {
				if e.Kind != im.Moderation {
					t.Errorf("somebody enters with %s", e.Body)
				}
			}
		}
	})
}

// An event that a replay has read ahead is not played once it is deleted.
func TestReplayLeavesOutWhatIsDeletedMeanwhile(t *testing.T) {
	inBubble(t, []float64{0, 1, 2, 3, 4}, func(t *testing.T, hub *im.Hub, room *im.Room) {
		page, err := room.History(t.Context(), im.HistoryQuery{})
		if err != nil {
			t.Fatal(err)
		}
		replay := open(t, room, im.ReplayOptions{Kinds: []im.Kind{page.Events[0].Kind}})
		var played []string
		for e := range replay.Events() {
			played = append(played, e.ID)
			if len(played) == 2 {
				if _, err := room.Remove(t.Context(), im.Removal{Positions: []im.Position{page.Events[3].Pos}}); err != nil {
					t.Fatal(err)
				}
			}
		}
		if len(played) != 4 || played[3] != page.Events[4].ID || replay.Err() != nil {
			t.Errorf("it plays %q, %v", played, replay.Err())
		}
	})
}

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
		"after the head":      {im.Removal{Positions: other(state.Epoch, state.Seq+1)}, im.CodeNotFound},
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
