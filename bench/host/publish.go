//go:build linux

package host

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/liveim/im/bench/rig"
)

// publisher publishes from one goroutine at a time.
type publisher struct {
	server    rig.Server
	published []uint64 // messages of each room; the goroutine's own while it runs

	stopped atomic.Bool
	lowest  atomic.Uint64
	news    chan struct{} // lowest or stopped has changed
}

func newPublisher(s rig.Server, rooms int) *publisher {
	return &publisher{server: s, published: make([]uint64, rooms), news: make(chan struct{}, 1)}
}

func (p *publisher) publish(room int, at time.Time, size int) error {
	// A new buffer for each: the contract does not say that a server is done with it.
	message := rig.Message(make([]byte, 0, size), p.published[room]+1, at, size)
	if err := p.server.Publish(room, message); err != nil {
		return fmt.Errorf("message %d of room %d: %w", p.published[room]+1, room, err)
	}
	p.published[room]++
	return nil
}

// paced publishes at a rate, spread evenly over the rooms and the time. A message says when it
// was due, so that a publisher that is held up shows in the latency. It returns how far it was
// behind at most.
func (p *publisher) paced(c Command) (late time.Duration, err error) {
	rooms := len(p.published)
	every := float64(time.Second) / (c.Rate * float64(rooms))
	total := int(float64(c.For) / every)
	timer := time.NewTimer(0)
	defer timer.Stop()
	start := time.Now()
	until := func(due time.Time) (goOn bool) {
		for wait := time.Until(due); wait > 0 && !p.stopped.Load(); wait = time.Until(due) {
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-p.news: // the process may be about to end
			}
		}
		return !p.stopped.Load()
	}
	for k := range total {
		due := start.Add(time.Duration(float64(k) * every))
		if !until(due) {
			return late, nil
		}
		late = max(late, time.Since(due))
		if err := p.publish(k%rooms, due, c.Size); err != nil {
			return late, err
		}
	}
	until(start.Add(c.For))
	return late, nil
}

// saturate publishes to one room after the other as long as none of them is further ahead of
// the slowest client than the window.
func (p *publisher) saturate(c Command) error {
	for room := 0; !p.stopped.Load(); {
		if p.published[room] >= p.lowest.Load()+c.Window {
			<-p.news
			continue
		}
		if err := p.publish(room, time.Now(), c.Size); err != nil {
			return err
		}
		room = (room + 1) % len(p.published)
	}
	return nil
}

// advance says what the client that got least has got.
func (p *publisher) advance(lowest uint64) {
	p.lowest.Store(lowest)
	p.wake()
}

func (p *publisher) wake() {
	select {
	case p.news <- struct{}{}:
	default:
	}
}
