package im_test

import (
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest"
)

// A viewer that reads nothing while a key is overwritten many times gets the newest value and few
// of the others, in bounded bytes, whether or not it has fallen out of the ring meanwhile.
func TestALaggingViewerGetsTheNewestValue(t *testing.T) {
	for name, writes := range map[string]int{"within the ring": 200, "beyond it": 2000} {
		t.Run(name, func(t *testing.T) {
			opts := &im.Options{FlushGap: 20 * time.Millisecond, Timeouts: im.Timeouts{Write: time.Hour, Heartbeat: time.Hour}}
			bubble(t, opts, func(t *testing.T, hub *imtest.Hub) {
				room := hub.Room("42")
				slow := hub.ConnectSlow(user("ann"), 256)
				slow.Join("42", nil)
				last := uint64(0)
				for i := range writes {
					last = set(t, room, "slide", i)
					if i == writes/2 {
						set(t, room, "quiet", true)
					}
					pass(25 * time.Millisecond)
				}
				pass(2 * time.Second)
				synctest.Wait()
				before := hub.Stats().SentBytes
				state := map[string]im.Position{}
				events := 0
				for {
					u, ok := slow.TryNext(time.Second)
					if !ok {
						break
					}
					if u.Op == "reset" && !u.Entry.Recovered {
						state["slide"], state["quiet"] = u.Entry.Pos, u.Entry.Pos
						if string(u.Entry.State["quiet"]) != "true" {
							t.Errorf("the reset has the state %s", u.Entry.State)
						}
						continue
					}
					if u.Op == "reset" {
						for _, e := range u.Entry.Events {
							note(state, e)
						}
					}
					if u.Op == "event" && u.Event.Kind == im.State {
						events++
						note(state, u.Event)
					}
				}
				if state["slide"].Seq < last || state["quiet"].Seq == 0 {
					t.Errorf("it ends with %v; the newest slide has version %d", state, last)
				}
				sent := hub.Stats().SentBytes - before
				t.Logf("%d overwrites: %d state events in %d bytes", writes, events, sent)
				if events > 60 || sent > 320<<10 {
					t.Errorf("%d overwrites took %d events and %d bytes", writes, events, sent)
				}
			})
		})
	}
}

func note(state map[string]im.Position, e *im.Event) {
	var c struct{ Key string }
	if json.Unmarshal(e.Body, &c) == nil && e.Kind == im.State {
		state[c.Key] = e.Pos
	}
}
