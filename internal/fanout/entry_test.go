package fanout

import (
	"fmt"
	"testing"

	"github.com/liveim/im/transport"
)

// parts is a format whose messages end as they are.
type parts struct{}

func (parts) Append(dst, message []byte) []byte { return append(append(dst, '<'), message...) }

func (parts) AppendHead(dst, head []byte, n int) []byte {
	return append(fmt.Appendf(dst, "<%d:", len(head)+n), head...)
}

// splitting is a connection with such a format.
type splitting struct{ *conn }

func (splitting) Private() transport.Format { return parts{} }

// An entry in two parts arrives whole, between what was sent before it and what comes behind,
// wherever the connection is full in between. Its tail is not copied.
func TestEntryInTwoParts(t *testing.T) {
	const want = "<first<12:head-and tail<lasts"
	for first := range len(want) {
		for _, then := range []int{1, 3, len(want)} {
			c := &conn{window: first}
			common := *testLimits
			common.Counters = new(Counters)
			o := NewOutlet(splitting{c}, &common)
			room := newRoom("42", 0, roomy)
			tail := []byte("and tail")
			o.Queue([]byte("first"))
			if !o.EnterWith([]byte("head-"), tail[:7], room.cursor(o, TierFull), nil) {
				t.Fatal("the outlet is closing")
			}
			o.Send([]byte("last"))
			for len(c.got()) < len(want)-2 {
				c.read(o, then)
			}
			if got := c.got(); got != "<first<12:head-and tai<last" {
				t.Errorf("full after %d bytes, then every %d: got %q", first, then, got)
			}
			if n := o.Queued(); n != 0 || o.backlog != nil {
				t.Errorf("full after %d bytes: %d bytes are still queued", first, n)
			}
			shares := false
			for _, l := range c.lent {
				shares = shares || &l.buf[0] == &tail[0]
			}
			if !shares {
				t.Error("the tail was copied")
			}
			c.check(t)
		}
	}
}

// A connection whose format cannot be split gets the entry in one piece.
func TestEntryInOnePart(t *testing.T) {
	r, room := newRig(t, unlimited, testLimits), newRoom("42", 0, roomy)
	r.EnterWith([]byte("head-"), []byte("tail"), room.cursor(r.Outlet, TierFull), nil)
	if got := r.conn.got(); got != "phead-tail\n" {
		t.Errorf("got %q", got)
	}
}
