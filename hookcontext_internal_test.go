package im

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

type hookKey struct{}

func TestAHookContextIsOneWithADeadline(t *testing.T) {
	cause := errors.New("the client has gone")
	for name, tt := range map[string]struct {
		ends  func(c *hookContext, cancel context.CancelCauseFunc)
		err   error
		cause error
	}{
		"its call is over":    {func(c *hookContext, _ context.CancelCauseFunc) { c.end() }, context.Canceled, context.Canceled},
		"its time is over":    {func(*hookContext, context.CancelCauseFunc) { pause(time.Second) }, context.DeadlineExceeded, context.DeadlineExceeded},
		"its parent has gone": {func(_ *hookContext, cancel context.CancelCauseFunc) { cancel(cause) }, context.Canceled, cause},
	} {
		for _, asked := range []bool{false, true} { // before it ends
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					parent, cancel := context.WithCancelCause(context.WithValue(t.Context(), hookKey{}, "value"))
					defer cancel(nil)
					c := &hookContext{parent: parent, until: time.Now().Add(time.Second)}
					var child context.Context
					if asked {
						var done context.CancelFunc
						child, done = context.WithCancel(c)
						defer done()
						if c.Err() != nil || child.Err() != nil || context.Cause(c) != nil {
							t.Fatalf("it has ended already: %v, %v", c.Err(), child.Err())
						}
					}
					if until, ok := c.Deadline(); !ok || !until.Equal(c.until) || c.Value(hookKey{}) != "value" {
						t.Errorf("its deadline is %v, its value %v", until, c.Value(hookKey{}))
					}
					tt.ends(c, cancel)
					synctest.Wait()
					if got := context.Cause(c); got != tt.cause {
						t.Errorf("the cause is %v; want %v", got, tt.cause)
					}
					select {
					case <-c.Done():
					default:
						t.Error("it has not ended")
					}
					if c.Err() != tt.err || c.Value(hookKey{}) != "value" {
						t.Errorf("it says %v and %v", c.Err(), c.Value(hookKey{}))
					}
					if asked && (child.Err() != tt.err || context.Cause(child) != tt.cause) {
						t.Errorf("its child says %v because of %v", child.Err(), context.Cause(child))
					}
					c.end()
				})
			})
		}
	}
}

func TestAHookContextHasTheEarlierDeadline(t *testing.T) {
	soon := time.Now().Add(time.Minute)
	parent, cancel := context.WithDeadline(t.Context(), soon)
	defer cancel()
	c := &hookContext{parent: parent, until: soon.Add(time.Minute)}
	defer c.end()
	if until, ok := c.Deadline(); !ok || !until.Equal(soon) {
		t.Errorf("the deadline is %v; want %v", until, soon)
	}
}

// pause passes time in a bubble.
func pause(d time.Duration) { <-time.After(d) }
