package im_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
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
		replay := open(t, room, im.ReplayOptions{})
		var played []string
		for e := range replay.Events() {
			played = append(played, e.ID)
			if len(played) == 2 {
				if _, err := room.Remove(t.Context(), im.Removal{Positions: []im.Position{page.Events[3].Pos}}); err != nil {
					t.Fatal(err)
				}
			}
		}
		if got := strings.Join(played, " "); got != "e0 e1 e2 e4" || replay.Err() != nil {
			t.Errorf("it plays %s, %v", got, replay.Err())
		}
	})
}

// hookedLog calls a function once, in its nth Read.
type hookedLog struct {
	*im.MemoryLog
	n    int
	hook func()
}

// Read implements im.Log.
func (l *hookedLog) Read(ctx context.Context, room string, r im.Range) (im.Page, error) {
	if l.n--; l.n == 0 {
		l.hook()
	}
	return l.MemoryLog.Read(ctx, room, r)
}

// A page for which the log is read more than once does not hold what was deleted in between.
func TestHistoryLeavesOutWhatIsDeletedWhileItReads(t *testing.T) {
	memory, err := im.NewMemoryLog(nil)
	if err != nil {
		t.Fatal(err)
	}
	log := &hookedLog{MemoryLog: memory}
	hub := imtest.NewHub(t, &im.Options{Log: log})
	room := hub.Room("42")
	spam, err := room.Send(t.Context(), im.Gift, "spam")
	if err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		if _, err := room.Send(t.Context(), im.Chat, 1); err != nil {
			t.Fatal(err)
		}
	}
	log.n, log.hook = 2, func() {
		if _, err := room.Remove(t.Context(), im.Removal{Positions: []im.Position{spam.Pos}}); err != nil {
			t.Error(err)
		}
	}
	page, err := room.History(t.Context(), im.HistoryQuery{Kinds: []im.Kind{im.Gift}})
	if err != nil || len(page.Events) != 0 || log.n > 0 {
		t.Errorf("the page holds %d events, %v; %d reads are left", len(page.Events), err, log.n)
	}
}
