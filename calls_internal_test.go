package im

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func newCalls(max int64) (*calls, *atomic.Int64) {
	bytes := new(atomic.Int64)
	return &calls{bytes: bytes, max: max}, bytes
}

// carried has a call carried out with an answer of so many bytes.
func carried(t *testing.T, c *calls, id string, size int, now time.Duration) {
	t.Helper()
	p, work, _, err := c.begin(id, "d", now)
	if err != nil || work == nil {
		t.Fatalf("begin %s: %v", id, err)
	}
	c.succeed(p, []byte(strings.Repeat("x", size)), now)
	c.end(p, nil)
}

func TestCallsAreBounded(t *testing.T) {
	t.Run("in number", func(t *testing.T) {
		c, bytes := newCalls(1 << 40)
		for i := range rememberCalls + 100 {
			carried(t, c, fmt.Sprint(i), 1, 0)
		}
		if len(c.m) != rememberCalls || c.has("99", 0) || !c.has("100", 0) {
			t.Errorf("%d are remembered", len(c.m))
		}
		if want := int64(rememberCalls * (callOverhead + 1)); bytes.Load() != want {
			t.Errorf("they count as %d bytes, want %d", bytes.Load(), want)
		}
		c.clear()
		if bytes.Load() != 0 || c.has("100", 0) {
			t.Errorf("%d bytes are left", bytes.Load())
		}
	})
	t.Run("in bytes of all rooms", func(t *testing.T) {
		a, bytes := newCalls(10_000)
		b := &calls{bytes: bytes, max: a.max}
		for i := range 100 {
			carried(t, a, fmt.Sprint(i), 1000, 0)
			carried(t, b, fmt.Sprint(i), 1000, 0)
			if bytes.Load() > a.max {
				t.Fatalf("%d bytes after %d calls", bytes.Load(), i)
			}
		}
	})
	t.Run("in time", func(t *testing.T) {
		c, bytes := newCalls(1 << 40)
		carried(t, c, "old", 1, 0)
		carried(t, c, "new", 1, time.Minute)
		e := &Event{ID: "logged", Body: outcomeOf("gift.send", []byte("7"))}
		c.observe(e, 4*time.Minute, time.Minute) // older than both
		if p, _, _, _ := c.begin("logged", "", time.Minute); string(c.result(p)) != "7" {
			t.Errorf("the answer in the log reads as %s", c.result(p))
		}
		c.expire(2*time.Minute + time.Second)
		if c.has("logged", 0) || !c.has("old", 0) || !c.has("new", 0) {
			t.Error("what is past its time is remembered, or something else is not")
		}
		c.expire(time.Hour)
		if c.m != nil || bytes.Load() != 0 {
			t.Errorf("%d bytes are left", bytes.Load())
		}
	})
}
