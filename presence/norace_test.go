//go:build !race

package presence_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest"
	"github.com/liveim/im/presence"
)

// scale is how many sessions the large test has.
const scale = 10_000

// TestMemoryAddedToASession holds presence to what it may add to a session that is in one room and idle.
func TestMemoryAddedToASession(t *testing.T) {
	const n, bar = 10_000, 200
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	var with, without uint64
	for _, plugged := range []bool{false, true} {
		t.Run(fmt.Sprint("presence ", plugged), func(t *testing.T) {
			hub := imtest.NewHub(t, nil)
			if plugged {
				plug(t, hub.Hub, &presence.Options{Rank: func(string, im.User) int { return 1 }})
			}
			before := heap()
			for i := range n {
				u := i * 8 / 10
				hub.Join("42", im.User{ID: fmt.Sprint("user-", u), Name: fmt.Sprint("User ", u)})
			}
			<-time.After(600 * time.Millisecond) // until the room is told
			each := (heap() - before) / n
			runtime.KeepAlive(hub)
			if plugged {
				with = each
			} else {
				without = each
			}
		})
	}
	t.Logf("%d bytes a session of the test with presence, %d without", with, without)
	if with > without+bar {
		t.Errorf("presence adds %d bytes to a session; want %d at most", with-without, bar)
	}
}

// BenchmarkJoinAndLeave compares a join and a leave, in a room of 1,000, with and without presence.
func BenchmarkJoinAndLeave(b *testing.B) {
	for _, plugged := range []bool{false, true} {
		b.Run(fmt.Sprint("presence=", plugged), func(b *testing.B) {
			hub := imtest.NewHub(b, &im.Options{Limits: im.Limits{Requests: im.Unlimited, Connection: im.Unlimited}, Timeouts: patient().Timeouts})
			if plugged {
				p, err := presence.New(hub.Hub, &presence.Options{OnJoin: func(context.Context, string, presence.Member) {}})
				if err != nil {
					b.Fatal(err)
				}
				defer p.Close()
			}
			hub.Crowd("42", 1000)
			v := hub.Connect(im.User{ID: "ann"})
			b.ReportAllocs()
			for b.Loop() {
				v.Join("42", nil)
				v.Leave("42")
			}
		})
	}
}
