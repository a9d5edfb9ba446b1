package im_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/liveim/im"
)

// played is when, since the loop began, each event came.
type played struct {
	id string
	at time.Duration
}

// inBubble runs a test with a room that has events at the given seconds.
func inBubble(t *testing.T, seconds []float64, test func(t *testing.T, hub *im.Hub, room *im.Room)) {
	synctest.Test(t, func(t *testing.T) {
		hub, _ := recorded(t, keepAll(), seconds)
		defer func() { _ = hub.Close() }()
		test(t, hub, hub.Room("42"))
	})
}

func open(t *testing.T, room *im.Room, o im.ReplayOptions) *im.Replay {
	t.Helper()
	p, err := room.Replay(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func playAll(p *im.Replay) (got []played) {
	begun := time.Now()
	for e := range p.Events() {
		got = append(got, played{e.ID, time.Since(begun)})
	}
	return got
}

func TestReplayKeepsTime(t *testing.T) {
	const s = time.Second
	for _, tt := range []struct {
		name string
		o    im.ReplayOptions
		want []played
	}{
		{"all of it", im.ReplayOptions{}, []played{{"e0", 0}, {"e1", 2 * s}, {"e2", 2 * s}, {"e3", 5 * s}, {"e4", 60 * s}}},
		{"twice as fast", im.ReplayOptions{Speed: 2}, []played{{"e0", 0}, {"e1", s}, {"e2", s}, {"e3", 2500 * time.Millisecond}, {"e4", 30 * s}}},
		{"a part", im.ReplayOptions{From: at(1), To: at(5)}, []played{{"e1", s}, {"e2", s}}},
		{"one kind", im.ReplayOptions{From: at(1), Kinds: []im.Kind{im.Chat}}, []played{{"e3", 4 * s}}},
		{"nothing", im.ReplayOptions{From: at(100)}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, []float64{0, 2, 1.9, 5, 60}, func(t *testing.T, _ *im.Hub, room *im.Room) {
				p := open(t, room, tt.o)
				if got := playAll(p); !slices.Equal(got, tt.want) || p.Err() != nil {
					t.Errorf("played %v, %v; want %v", got, p.Err(), tt.want)
				}
			})
		})
	}
}

func TestReplayIsControlled(t *testing.T) {
	inBubble(t, everySecond(100), func(t *testing.T, _ *im.Hub, room *im.Room) {
		p := open(t, room, im.ReplayOptions{Kinds: []im.Kind{im.Danmaku, im.Chat, im.Gift}})
		var got []played
		begun, done := time.Now(), make(chan struct{})
		go func() {
			defer close(done)
			for e := range p.Events() {
				got = append(got, played{e.ID, time.Since(begun)})
			}
		}()
		pass := func(d time.Duration) { <-time.After(d) }
		pass(2500 * time.Millisecond) // e0, e1, e2
		p.Pause()
		pass(time.Minute)
		if at := p.Offset(); at != 2500*time.Millisecond {
			t.Errorf("a paused replay is at %v", at)
		}
		p.Seek(50 * time.Second)
		pass(time.Minute)
		p.Resume() // e50, e51
		pass(1500 * time.Millisecond)
		if err := p.SetSpeed(10); err != nil {
			t.Error(err)
		}
		pass(100 * time.Millisecond) // to 52.5: e52
		p.Seek(-time.Hour)
		if err := p.SetSpeed(1); err != nil {
			t.Error(err)
		}
		pass(1500 * time.Millisecond) // e0, e1
		p.Seek(98 * time.Second)      // e99 is a system event
		<-done
		const ms = time.Millisecond
		base := 122500 * ms
		want := []played{{"e0", 0}, {"e1", 1000 * ms}, {"e2", 2000 * ms}, {"e50", base}, {"e51", base + 1000*ms}, {"e52", base + 1550*ms},
			{"e0", base + 1600*ms}, {"e1", base + 2600*ms}, {"e98", base + 3100*ms}}
		if got = slices.DeleteFunc(got, func(p played) bool { return p.id == "e99" }); !slices.Equal(got, want) {
			t.Errorf("played\n%v, want\n%v", got, want)
		}
		if p.Err() != nil {
			t.Error(p.Err())
		}
		p.Seek(98 * time.Second)
		if again := playAll(p); len(again) == 0 || again[0].id != "e98" {
			t.Errorf("after its end it plays %v", again)
		}
	})
}

// Pages are read as the replay goes on, and what was hidden meanwhile stays hidden.
func TestReplayOfManyPages(t *testing.T) {
	inBubble(t, everySecond(3000), func(t *testing.T, _ *im.Hub, room *im.Room) {
		p := open(t, room, im.ReplayOptions{Speed: im.MaxReplaySpeed})
		got := playAll(p)
		for i := 1; i < len(got); i++ {
			if got[i].at < got[i-1].at {
				t.Fatalf("%v after %v", got[i], got[i-1])
			}
		}
		if n := len(got); n < 2700 || got[n-1].at > 3*time.Second {
			t.Errorf("%d events, the last at %v", n, got[n-1].at)
		}
	})
}

func TestReplayEnds(t *testing.T) {
	cause := errors.New("the show is over")
	inBubble(t, everySecond(10), func(t *testing.T, hub *im.Hub, room *im.Room) {
		ctx, cancel := context.WithCancelCause(t.Context())
		p, err := room.Replay(ctx, im.ReplayOptions{})
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(1500*time.Millisecond, func() { cancel(cause) })
		if got := playAll(p); len(got) != 2 || !errors.Is(p.Err(), cause) {
			t.Errorf("%d events, then %v", len(got), p.Err())
		}

		p = open(t, room, im.ReplayOptions{})
		time.AfterFunc(2500*time.Millisecond, p.Close)
		if got := playAll(p); len(got) != 3 || p.Err() != nil {
			t.Errorf("%d events, then %v", len(got), p.Err())
		}
		p.Close()

		p = open(t, room, im.ReplayOptions{})
		for range p.Events() {
			break
		}
		<-time.After(2500 * time.Millisecond)
		var rest []string
		for e := range p.Events() {
			rest = append(rest, e.ID)
			p.Close()
		}
		if !slices.Equal(rest, []string{"e1"}) || p.Err() != nil {
			t.Errorf("after a break %v, %v", rest, p.Err())
		}
		for _, o := range []im.ReplayOptions{{Speed: -1}, {Speed: 1e6}, {From: at(2), To: at(1)}, {Kinds: []im.Kind{"nonsense"}}} {
			if _, err := room.Replay(t.Context(), o); err == nil {
				t.Errorf("%+v is taken", o)
			}
		}
		if err := p.SetSpeed(0); err == nil {
			t.Error("speed 0 is taken")
		}
	})
}

// A host runs a recorded stream again, in another room, with its comments: they are shown as they
// were said, by the same people.
func ExampleRoom_Replay() {
	hub, err := im.New(whoIs, nil)
	if err != nil {
		panic(err)
	}
	defer func() { _ = hub.Close() }()
	ctx := context.Background()
	room, rerun := hub.Room("42"), hub.Room("42-again")
	for i := range 3 {
		if _, err := room.Send(ctx, im.Chat, fmt.Sprint("comment ", i), im.AsUser(im.User{ID: "ann"})); err != nil {
			panic(err)
		}
	}

	replay, err := room.Replay(ctx, im.ReplayOptions{Speed: 100})
	if err != nil {
		panic(err)
	}
	for e := range replay.Events() {
		again := *e
		again.At = time.Now()
		if _, err := rerun.Import(ctx, []*im.Event{&again}); err != nil {
			panic(err)
		}
	}
	page, err := rerun.History(ctx, im.HistoryQuery{})
	for _, e := range page.Events {
		fmt.Println(e.From.ID, string(e.Body))
	}
	fmt.Println(err, replay.Err())
	// Output:
	// ann "comment 0"
	// ann "comment 1"
	// ann "comment 2"
	// <nil> <nil>
}
