//go:build linux

package host

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/liveim/im/bench/rig"
)

// recorder is a server that remembers what it had to publish.
type recorder struct {
	mu       sync.Mutex // protects what follows
	rooms    []int
	messages [][]byte
	err      error
}

func (r *recorder) Serve(l net.Listener) error {
	_, err := l.Accept()
	return err
}

func (r *recorder) Publish(room int, message []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rooms, r.messages = append(r.rooms, room), append(r.messages, message)
	return r.err
}

func (r *recorder) Close() error { return nil }

func (r *recorder) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.messages)
}

// start runs the process as a goroutine of the test.
func start(t *testing.T, r *recorder, setup rig.Setup) *Control {
	t.Helper()
	in, commands := io.Pipe()
	replies, out := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- Run(rig.Peer{Name: "recorder", New: func(rig.Setup) (rig.Server, error) { return r, nil }}, setup, in, out)
		_ = out.Close()
	}()
	c := Connect(commands, replies)
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	if ready, err := c.Wait(time.Minute); err != nil || ready.Do != Ready || ready.Address == "" {
		t.Fatalf("%+v, %v", ready, err)
	}
	return c
}

func ask(t *testing.T, c *Control, cmd Command) Reply {
	t.Helper()
	if err := c.Send(cmd); err != nil {
		t.Fatal(err)
	}
	r, err := c.Wait(time.Minute)
	if err != nil || r.Do != cmd.Do {
		t.Fatalf("%+v, %v", r, err)
	}
	return r
}

func TestPublishingAtARateIsSpread(t *testing.T) {
	var r recorder
	c := start(t, &r, rig.Setup{Rooms: 3, History: 2})
	if n := r.count(); n != 6 {
		t.Fatalf("%d messages of history, want 2 in each room", n)
	}
	for round := range 2 {
		reply := ask(t, c, Command{Do: Publish, Rate: 100, Size: 100, For: 100 * time.Millisecond})
		for _, n := range reply.Published {
			if n != uint64(10*(round+1)) {
				t.Fatalf("published %d, want 10 more in each room", reply.Published)
			}
		}
	}
	for i, m := range r.messages[6:] {
		want := rig.Message(nil, uint64(i/3+1), time.Unix(0, 0), 100)[len(`{"bench":0`):40]
		if r.rooms[6+i] != i%3 || len(m) != 100 || !bytes.Contains(m, want[:len(`,"n":1`)]) {
			t.Fatalf("message %d went to room %d: %s", i, r.rooms[6+i], m)
		}
	}
}

func TestSaturationStaysInItsWindow(t *testing.T) {
	var r recorder
	c := start(t, &r, rig.Setup{Rooms: 2})
	ask(t, c, Command{Do: Saturate, Size: 100, Window: 5})
	if err := c.Send(Command{Do: Lowest, Lowest: 7}); err != nil {
		t.Fatal(err)
	}
	timer := time.NewTimer(time.Minute)
	defer timer.Stop()
	for r.count() < 24 {
		select {
		case <-timer.C:
			t.Fatalf("published %d, want 12 in each of 2 rooms", r.count())
		case <-time.After(time.Millisecond):
		}
	}
	if stop := ask(t, c, Command{Do: Stop}); stop.Published[0] != 12 || stop.Published[1] != 12 {
		t.Errorf("published %d with a window of 5 after 7", stop.Published)
	}
}

func TestAnErrorOfTheServerIsTold(t *testing.T) {
	r := recorder{err: errors.New("no more")}
	c := start(t, &r, rig.Setup{Rooms: 1})
	if err := c.Send(Command{Do: Publish, Rate: 100, Size: 100, For: time.Second}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Wait(time.Minute); err == nil {
		t.Error("a server that cannot publish: no error")
	}
}

func TestUsage(t *testing.T) {
	c := start(t, &recorder{}, rig.Setup{Rooms: 1})
	for _, verb := range []Verb{Usage, Memory} {
		if u := ask(t, c, Command{Do: verb}).Used; u.RSS < 1<<20 || u.Goroutines < 2 || u.User+u.System == 0 || u.At.IsZero() {
			t.Errorf("%s: %+v", verb, u)
		}
	}
}

func TestTailKeepsTheEnd(t *testing.T) {
	var x tail
	for range 1000 {
		_, _ = x.Write([]byte("0123456789"))
	}
	_, _ = x.Write([]byte("the end"))
	if s := x.String(); len(s) != 4<<10 || s[len(s)-7:] != "the end" {
		t.Errorf("%d bytes that end with %q", len(s), s[len(s)-7:])
	}
}
