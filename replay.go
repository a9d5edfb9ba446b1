package im

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"
)

// ReplayOptions say what a [Replay] plays. The zero value is all that is kept of the room, at the
// speed at which it happened.
type ReplayOptions struct {
	// After, Before, From, To and Kinds select events, as in a [HistoryQuery].
	After, Before Position
	From, To      time.Time
	Kinds         []Kind
	// Speed is how many times faster than it happened: 0.01 to 1000. Defaults to 1.
	Speed float64
}

// The range of speeds of a [Replay].
const (
	MinReplaySpeed = 0.01
	MaxReplaySpeed = 1000.0
)

// Replay plays what a room has kept back in its time, or faster: read Events in a loop. It
// only reads. What to do with the events is up to the host, which may send them to another
// room with [Room.Import]: a gift is then shown again, and not given again.
//
// Its clock starts with the first call of Events, at offset 0, which is ReplayOptions.From or else
// the time of the first event. Pause, Resume, Seek, SetSpeed, Offset and Close may be called from any
// goroutine, also while Events runs; Events must not run twice at a time. A Replay owns no goroutine, and
// ends with the context of Room.Replay, with Close, or with the last event.
type Replay struct {
	ctx   context.Context
	end   context.CancelCauseFunc
	room  *Room
	query HistoryQuery // of the next page
	to    HistoryQuery // of the whole

	mu      sync.Mutex // guards the fields below
	start   time.Time  // what offset 0 is
	started bool       // the clock runs, unless it is paused
	paused  bool
	speed   float64
	offset  time.Duration // at since
	since   time.Time
	changed chan struct{} // closed, and made anew, when one of the above changes
	sought  bool          // events have to be read anew
	err     error         // why it ended

	page []*Event // read and not played yet; of the goroutine that runs Events
	more bool     // there may be others behind it
}

// errReplayClosed is the cause of the end of a replay that was closed.
var errReplayClosed = errors.New("im: the replay was closed")

// Replay prepares the playing of a range of the room's history; nothing is played before
// [Replay.Events] is called. ctx bounds all of it. A range that holds no events plays nothing.
//
//	replay, err := hub.Room("42").Replay(ctx, im.ReplayOptions{From: begin, To: end, Speed: 2})
//	for e := range replay.Events() {
//		again := *e
//		again.At = time.Now()
//		_, err = rerun.Import(ctx, []*im.Event{&again})
//	}
func (r *Room) Replay(ctx context.Context, o ReplayOptions) (*Replay, error) {
	if o.Speed == 0 {
		o.Speed = 1
	}
	if err := checkReplaySpeed(o.Speed); err != nil {
		return nil, err
	}
	p := &Replay{
		room: r, start: o.From, speed: o.Speed, changed: make(chan struct{}),
		to: HistoryQuery{After: o.After, Before: o.Before, From: o.From, To: o.To, Kinds: o.Kinds, Max: 500},
	}
	p.query, p.more = p.to, true
	p.ctx, p.end = context.WithCancelCause(ctx)
	// The first page also tells the time of the first event, and whether the range is there at all.
	for first := true; first || len(p.page) == 0 && p.more; first = false {
		if err := p.read(); err != nil {
			p.end(err)
			return nil, err
		}
	}
	if p.start.IsZero() && len(p.page) > 0 {
		p.start = p.page[0].At
	}
	return p, nil
}

func checkReplaySpeed(speed float64) error {
	if !(speed >= MinReplaySpeed && speed <= MaxReplaySpeed) { // NaN too
		return errorf(CodeBadRequest, "a replay's speed is %v: want %v to %v", speed, MinReplaySpeed, MaxReplaySpeed)
	}
	return nil
}

// Start is the time that offset 0 stands for. It is zero if there is nothing to play.
func (p *Replay) Start() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.start
}

// Events yields each event when its time has come. An event whose time has passed, because the
// loop was busy or because its place in the log is behind one that is later, is yielded at once.
// The loop ends with the last event, or when the replay ends: [Replay.Err] tells the two apart.
// To break off is to stop listening: another call of Events goes on where the clock is then.
func (p *Replay) Events() iter.Seq[*Event] {
	return func(yield func(*Event) bool) {
		p.update(func(now time.Time) {
			if !p.started {
				p.started, p.since = true, now
			}
		})
		timer := time.NewTimer(0)
		defer timer.Stop()
		for {
			e, err := p.next()
			if err != nil {
				p.fail(err)
				return
			}
			if e == nil {
				return
			}
			switch due, err := p.await(e, timer); {
			case err != nil:
				p.fail(err)
				return
			case !due:
				continue // somewhere else now
			}
			p.page = p.page[1:]
			switch hidden, err := p.room.hides(p.ctx, e); {
			case err != nil:
				p.fail(err)
				return
			case hidden: // since it was read
				continue
			}
			if !yield(e) {
				return
			}
		}
	}
}

// next returns the event that is to be played next, nil if there is none.
func (p *Replay) next() (*Event, error) {
	p.mu.Lock()
	if p.sought {
		p.sought = false
		p.page, p.more, p.query = nil, true, p.to
		if from := p.start.Add(p.offset); p.offset > 0 && from.After(p.query.From) {
			p.query.From = from
		}
		if !p.query.To.IsZero() && !p.query.From.Before(p.query.To) {
			p.more = false
		}
	}
	p.mu.Unlock()
	for len(p.page) == 0 && p.more {
		if err := p.read(); err != nil {
			return nil, err
		}
	}
	if p.ctx.Err() != nil {
		return nil, context.Cause(p.ctx)
	}
	if len(p.page) == 0 {
		return nil, nil
	}
	return p.page[0], nil
}

// read reads the next page.
func (p *Replay) read() error {
	page, err := p.room.History(p.ctx, p.query)
	if err != nil {
		return err
	}
	p.page, p.more, p.query.After = page.Events, page.More, page.Next
	return nil
}

// await waits until the time of e has come. It reports false if the replay was moved meanwhile.
func (p *Replay) await(e *Event, timer *time.Timer) (due bool, err error) {
	for {
		now := time.Now()
		p.mu.Lock()
		wait := time.Duration(float64(e.At.Sub(p.start)-p.offsetLocked(now)) / p.speed)
		changed, paused, sought := p.changed, p.paused, p.sought
		p.mu.Unlock()
		switch {
		case p.ctx.Err() != nil:
			return false, context.Cause(p.ctx)
		case sought:
			return false, nil
		case wait <= 0 && !paused:
			return true, nil
		}
		var elapsed <-chan time.Time
		if !paused {
			timer.Reset(wait)
			elapsed = timer.C
		}
		select {
		case <-elapsed:
		case <-changed:
		case <-p.ctx.Done():
		}
	}
}

// offsetLocked is where the clock stands.
func (p *Replay) offsetLocked(now time.Time) time.Duration {
	if !p.started || p.paused {
		return p.offset
	}
	return p.offset + time.Duration(float64(now.Sub(p.since))*p.speed)
}

// update changes how the clock goes from now on.
func (p *Replay) update(change func(now time.Time)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	p.offset, p.since = p.offsetLocked(now), now
	change(now)
	close(p.changed)
	p.changed = make(chan struct{})
}

// Offset is how far the replay has got from Start.
func (p *Replay) Offset() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.offsetLocked(time.Now())
}

// Pause stops the clock: no event becomes due until Resume. One that is due already may still come.
func (p *Replay) Pause() { p.update(func(time.Time) { p.paused = true }) }

// Resume lets it go on.
func (p *Replay) Resume() { p.update(func(time.Time) { p.paused = false }) }

// Seek moves to an offset from Start, back or ahead: the next event is the first from there
// on, and what lies between is not played. An offset below zero is zero. Whether the replay is paused stays.
func (p *Replay) Seek(offset time.Duration) {
	p.update(func(time.Time) { p.offset, p.sought = max(offset, 0), true })
}

// SetSpeed changes how many times faster than it happened the replay goes, from where it is: MinReplaySpeed to MaxReplaySpeed.
func (p *Replay) SetSpeed(speed float64) error {
	if err := checkReplaySpeed(speed); err != nil {
		return err
	}
	p.update(func(time.Time) { p.speed = speed })
	return nil
}

// Close ends the replay: a loop over Events that waits ends at once. More than once does no harm.
func (p *Replay) Close() { p.end(errReplayClosed) }

// Err tells why a loop over Events has ended: nil after the last event, after Close or if the loop
// broke off by itself; otherwise the cause of the context's end or the error of the log, which wraps [ErrGap]
// if what was to be played next is no longer kept.
func (p *Replay) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

func (p *Replay) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if cause := context.Cause(p.ctx); cause != nil {
		err = cause
	}
	if errors.Is(err, errReplayClosed) {
		return
	}
	p.err = fmt.Errorf("im: the replay of room %q ended: %w", p.room.id, err)
}
