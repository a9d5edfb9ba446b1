package ws

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"
)

var t0 = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

var testKey = [4]byte{0x37, 0xfa, 0x21, 0x3d}

// event is one call of a Handler.
type event struct {
	kind string // "text", "binary", "ping", "pong" or "close"
	data string
	code CloseCode
}

func (e event) String() string { return fmt.Sprintf("%s(%d %.40q)", e.kind, e.code, e.data) }

// recorder is a Handler that keeps what it was called with.
type recorder struct {
	events []event
	err    error // what Message returns
}

func (r *recorder) add(kind string, data []byte, code CloseCode) {
	r.events = append(r.events, event{kind, string(data), code})
}

func (r *recorder) Message(op Opcode, payload []byte) error {
	r.add(op.String(), payload, 0)
	return r.err
}
func (r *recorder) Ping(payload []byte) error { r.add("ping", payload, 0); return nil }
func (r *recorder) Pong(payload []byte) error { r.add("pong", payload, 0); return nil }
func (r *recorder) Close(code CloseCode, reason string) error {
	r.add("close", []byte(reason), code)
	return nil
}

// nopHandler is a Handler that counts messages.
type nopHandler struct{ messages, bytes int }

func (h *nopHandler) Message(_ Opcode, payload []byte) error {
	h.messages++
	h.bytes += len(payload)
	return nil
}
func (h *nopHandler) Ping([]byte) error             { return nil }
func (h *nopHandler) Pong([]byte) error             { return nil }
func (h *nopHandler) Close(CloseCode, string) error { return nil }

// outcome is all that a peer and a handler can observe of a Parser.
type outcome struct {
	events []event
	code   CloseCode // of the CloseError, or 0
}

func (o outcome) equal(other outcome) bool {
	return o.code == other.code && slices.Equal(o.events, other.events)
}

// run feeds the pieces to p, releases it and returns what happened. It fails
// the test on what must hold for every input.
func run(t testing.TB, p *Parser, pieces [][]byte) outcome {
	t.Helper()
	var rec recorder
	var err error
	for _, piece := range pieces {
		// Feed writes to its input; the caller's bytes are used again.
		if err = p.Feed(t0, slices.Clone(piece), &rec); err != nil {
			if again := p.Feed(t0, []byte{0x81}, &rec); again != err {
				t.Errorf("Feed after the error %v = %v, want the same error", err, again)
			}
			if p.message != nil || p.control != nil || p.pending {
				t.Error("a dead parser holds a buffer")
			}
			break
		}
	}
	var ce *CloseError
	if err != nil && !errors.As(err, &ce) {
		t.Errorf("Feed = %v, want a *CloseError", err)
	}
	if err == nil && p.messageOp == OpContinuation && !p.inPayload && (p.message != nil || p.control != nil) {
		t.Error("a parser between messages holds a buffer")
	}
	p.Release()
	p.Release()
	if ce == nil {
		return outcome{rec.events, 0}
	}
	if !ce.Code.ValidOnWire() || len(ce.Reason) > maxControl-2 || ce.Reason == "" {
		t.Errorf("%v cannot be sent as a close frame", ce)
	}
	return outcome{rec.events, ce.Code}
}

func whole(b []byte) [][]byte { return [][]byte{b} }

func bytewise(b []byte) [][]byte {
	pieces := make([][]byte, len(b))
	for i := range b {
		pieces[i] = b[i : i+1]
	}
	return pieces
}

// splitBy cuts b into pieces whose sizes come from next.
func splitBy(b []byte, next func() int) [][]byte {
	var pieces [][]byte
	for len(b) > 0 {
		n := min(max(1, next()), len(b))
		pieces = append(pieces, b[:n])
		b = b[n:]
	}
	return pieces
}

// emptyPools makes the next borrowings allocate. Two cycles, because sync.Pool
// keeps its content through one.
func emptyPools() {
	runtime.GC()
	runtime.GC()
}

// allocated returns the number of bytes that f allocates, those that were freed
// meanwhile included.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}
