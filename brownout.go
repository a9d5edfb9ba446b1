package im

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/liveim/im/internal/brownout"
)

// BrownoutLevel is how much a hub leaves out because it has too much to do. Each
// level includes those below it. Events of the class [Critical] keep their promise
// on every level, and sessions that exist stay.
type BrownoutLevel uint8

const (
	BrownoutNone     BrownoutLevel = iota // everything is as documented
	BrownoutCoarse                        // likes are totalled every 2 s, the online count is told every 5 s
	BrownoutNoJoins                       // rooms do not tell who came in
	BrownoutHalved                        // rooms show half as many volatile events
	BrownoutSlowed                        // a room takes 20 events of the class Normal a second from clients
	BrownoutRefusing                      // new connections are refused, with a time to come back
)

var brownoutNames = [...]string{"none", "coarse", "no joins", "halved", "slowed", "refusing"}

func (l BrownoutLevel) String() string {
	if int(l) < len(brownoutNames) {
		return brownoutNames[l]
	}
	return fmt.Sprintf("BrownoutLevel(%d)", uint8(l))
}

const (
	// pressureEvery is how often the pressure is looked at.
	pressureEvery = 500 * time.Millisecond
	// brownoutHold is how long a level lasts at least after the pressure has gone.
	brownoutHold = 5 * time.Second

	// What a room takes a second, and at once, of normal events when they are slowed.
	slowedRate  = 20
	slowedBurst = 20
)

// pressure is how hard the hub is pressed, and what it does about that.
type pressure struct {
	level atomic.Uint32
	last  atomic.Uint64 // the pressure at the last look, as math.Float64bits
}

// brownout returns the level as of now.
func (h *Hub) brownout() BrownoutLevel { return BrownoutLevel(h.pressure.level.Load()) }

// brownoutLoop looks at the pressure and goes up and down the ladder.
func (h *Hub) brownoutLoop() {
	ladder := brownout.New(brownout.Params{Hold: brownoutHold})
	own, plugged := brownout.NewMeter(), h.opts.Pressure
	t := time.NewTicker(pressureEvery)
	defer t.Stop()
	for {
		select {
		case <-h.life.Done():
			return
		case now := <-t.C:
			var p float64
			var detail []any
			if plugged != nil {
				var err error
				if p, err = h.ask(plugged); err != nil {
					if h.life.Err() != nil {
						return // it is the hub that has ended
					}
					h.opts.Logger.Error("Options.Pressure failed; the hub measures for itself from now on", "error", err)
					plugged = nil
					continue
				}
			} else {
				r := own.Read()
				p, detail = r.Pressure(), []any{"memory", r.Memory, "collector", r.Collector, "processor", r.Processor}
			}
			h.pressure.last.Store(math.Float64bits(p))
			h.setBrownout(BrownoutLevel(ladder.Step(now, p)), p, detail)
		}
	}
}

// ask asks the host how hard it is pressed.
func (h *Hub) ask(pressure func() float64) (p float64, err error) {
	var got float64 // written to by a call that hangs, maybe after this has returned
	err = h.guard.run(h.life, h.opts.Timeouts.Hook, "Options.Pressure", func(context.Context) error {
		got = pressure()
		return nil
	})
	if err != nil {
		return 0, err
	}
	if !(got > 0) { // nor NaN, which no statistics can carry
		return 0, nil
	}
	return min(got, 1000), nil
}

// setBrownout goes to a level and says so if it is another one.
func (h *Hub) setBrownout(level BrownoutLevel, pressure float64, detail []any) {
	before := BrownoutLevel(h.pressure.level.Swap(uint32(level)))
	if before == level {
		return
	}
	log, what := h.opts.Logger.Warn, "the hub has too much to do and leaves out more"
	if level < before {
		log, what = h.opts.Logger.Info, "the hub leaves out less again"
	}
	log(what, append([]any{"level", level, "before", before, "pressure", pressure}, detail...)...)
	h.observe(Signal{Type: SignalBrownout, Level: level})
}

// mergeEvery is how often a room appends what was added to a merged kind: one
// event per room, node and tick.
func (h *Hub) mergeEvery() time.Duration {
	if h.brownout() >= BrownoutCoarse {
		return 2 * time.Second
	}
	return 500 * time.Millisecond
}

// onlineEvery is the least time between two announcements of the online count.
func (h *Hub) onlineEvery() time.Duration {
	if h.brownout() >= BrownoutCoarse {
		return 5 * time.Second
	}
	return time.Second
}

// budgetShare is the part of a room's budget of volatile events that it may use.
func (h *Hub) budgetShare() float64 {
	if h.brownout() >= BrownoutHalved {
		return 0.5
	}
	return 1
}

// slow refuses what clients send to a room beyond what it takes when normal kinds
// are slowed. Nothing else is ever refused here.
func (h *Hub) slow(room string, class Class) error {
	if class != Normal || h.brownout() < BrownoutSlowed {
		return nil
	}
	c, ok := h.rooms.get(room)
	if !ok {
		return nil // the first event of a room that is not in use yet
	}
	wait := c.slowed.take()
	if wait == 0 {
		return nil
	}
	// Those who are refused at the same moment do not come back at the same moment.
	return &Error{Code: CodeOverloaded, RetryAfter: wait + rand.N(time.Second)}
}

// slowed is a room's bucket of normal events, made when it is first needed. The
// zero value is ready for use, by many goroutines.
type slowed struct{ bucket atomic.Pointer[bucket] }

// take takes a token. If there is none it returns after which time there will be.
func (s *slowed) take() (wait time.Duration) {
	b := s.bucket.Load()
	if b == nil {
		s.bucket.CompareAndSwap(nil, Limit{slowedBurst, slowedBurst * time.Second / slowedRate}.bucket())
		b = s.bucket.Load()
	}
	wait, _ = b.take(time.Now())
	return wait
}

// admitConnection refuses a new connection if there is too much to do. It is
// cheap, so that it comes before the host is asked who that is; connect asks it
// again.
func (h *Hub) admitConnection() error {
	if h.brownout() < BrownoutRefusing {
		return nil
	}
	// No level ends sooner than after brownoutHold.
	return &Error{Code: CodeOverloaded, RetryAfter: brownoutHold + h.returnTime()}
}
