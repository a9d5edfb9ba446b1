package replay

import (
	"context"
	"fmt"
	"time"
)

// The range of speeds that [Play] and [Length] take.
const (
	MinSpeed = 0.01
	MaxSpeed = 1000.0
)

// Play calls fn with each item when its time has come: At after start, divided
// by speed. Items must be sorted, as readers and Generate return them.
//
// The schedule is absolute, so that delays do not add up: a slow fn delays what
// follows, and Play catches up as soon as it can. To play in a loop without a
// seam, add [Length] to start each time.
//
// Play returns nil after the last item, or the cause of ctx's end; fn is not
// called after that.
func Play(ctx context.Context, items []Item, start time.Time, speed float64, fn func(Item)) error {
	if err := checkSpeed(speed); err != nil {
		return err
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	<-timer.C
	for _, it := range items {
		if wait := time.Until(start.Add(scale(it.At, speed))); wait > 0 {
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		} else if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		fn(it)
	}
	return nil
}

// Length is how long a recording takes at a speed: up to its last item and a
// second more, so that it is never zero.
func Length(items []Item, speed float64) time.Duration {
	if len(items) == 0 || checkSpeed(speed) != nil {
		return time.Second
	}
	return scale(items[len(items)-1].At, speed) + time.Second
}

func checkSpeed(speed float64) error {
	if !(speed >= MinSpeed && speed <= MaxSpeed) { // NaN too
		return fmt.Errorf("speed %v: want %v to %v", speed, MinSpeed, MaxSpeed)
	}
	return nil
}

func scale(d time.Duration, speed float64) time.Duration {
	return time.Duration(float64(d) / speed)
}
