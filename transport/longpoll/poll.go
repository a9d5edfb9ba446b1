package longpoll

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/liveim/im/internal/inlet"
)

// errLost is the outcome of a response that was not written to its end because
// something panicked.
var errLost = errors.New("longpoll: writing the answer did not return")

// poll is a request that waits.
type poll struct {
	wake chan struct{} // holds a token if there may be a reason to answer
	full bool          // takes nothing any more; guarded by Conn.mu
}

// signal has the request look why. It does not block.
func (p *poll) signal() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// ServePoll answers a request with an array of messages: as soon as there is one
// or a few, or with [] after wait. It returns when the answer has been written or
// the client is gone. A request that waits already is answered with [] at once. The
// timeouts of the server do not apply to the wait, and Options.WriteTimeout takes the
// place of its WriteTimeout.
//
// An error means that the Conn has ended, and that nothing was written: the
// caller goes on as if it had not known the Conn. It wraps net.ErrClosed.
func (c *Conn) ServePoll(w http.ResponseWriter, r *http.Request, wait time.Duration) error {
	if r.Method == http.MethodHead { // must not use messages up
		setHeader(w.Header())
		w.WriteHeader(http.StatusOK)
		return nil
	}
	// The one would count as the end of the client, the other ends a stream of
	// HTTP/2. A server that does not let them be changed may well have none.
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Time{})
	_ = control.SetWriteDeadline(time.Time{})
	p := &poll{wake: make(chan struct{}, 1)}
	writable, ok := c.begin(p)
	if !ok {
		return inlet.ErrOver
	}
	if writable {
		c.inlet.Writable()
	}
	c.await(r.Context(), p, wait)
	if gone := r.Context().Err() != nil; gone {
		c.abandon(p)
	} else {
		c.respond(w, p)
	}
	return nil
}

// Interrupt answers the request that waits, if there is one, with [], and takes
// nothing until the next ServePoll. What it had gathered for that answer is lost, as
// if it had not arrived. With it the hub holds still what it compares the positions
// of a new request with.
func (c *Conn) Interrupt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dropLocked()
}

// dropLocked ends the wait of the request that waits. mu is held.
func (c *Conn) dropLocked() {
	if c.poll == nil {
		return
	}
	c.poll.signal()
	c.poll = nil
	_, _ = c.answer.take()
	c.restLocked()
}

// restLocked starts the time between two requests. mu is held.
func (c *Conn) restLocked() {
	if c.poll == nil && c.writing == 0 {
		c.idle = time.Now()
	}
}

// begin has p wait, in place of another request. It reports whether Writable is
// owed, and false if the Conn has ended.
func (c *Conn) begin(p *poll) (writable, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return false, false
	}
	c.dropLocked()
	c.poll = p
	if c.finished {
		p.signal()
	}
	writable = c.short && !c.finished
	c.short = false
	return writable, true
}

// await returns when p is to be answered or the client is gone.
func (c *Conn) await(ctx context.Context, p *poll, wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	gathering := false
	for {
		select {
		case <-p.wake:
		case <-timer.C:
			return
		case <-ctx.Done():
			return
		}
		c.mu.Lock()
		now := c.poll != p || p.full || c.finished || c.ended
		c.mu.Unlock()
		if now {
			return
		}
		if !gathering {
			gathering = true
			timer.Reset(c.options.gather())
		}
	}
}

// abandon notes that the client of p is gone.
func (c *Conn) abandon(p *poll) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.poll == p {
		c.dropLocked()
	}
}

// respond writes what there is for p.
func (c *Conn) respond(w http.ResponseWriter, p *poll) {
	c.mu.Lock()
	mine := c.poll == p
	var pieces [][]byte
	size := 0
	if mine {
		pieces, size = c.answer.take()
		c.poll = nil
		c.writing++
	}
	c.mu.Unlock()
	err := errLost
	if mine {
		defer func() { c.served(err) }() // also if middleware panics
	}
	err = write(w, pieces, size, c.options.writeTimeout())
}

// served notes that a response was written.
func (c *Conn) served(err error) {
	c.mu.Lock()
	c.writing--
	c.restLocked()
	done := c.finished && c.poll == nil && c.writing == 0 && !c.short
	c.mu.Unlock()
	if !done {
		return
	}
	if err != nil {
		err = fmt.Errorf("longpoll: write the last answer: %w", err)
	}
	c.end(err)
}

func setHeader(h http.Header) {
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
}

// write writes elements of size bytes as an array. The deadline must not stay: the
// connection goes on to serve other requests.
func write(w http.ResponseWriter, pieces [][]byte, size int, timeout time.Duration) error {
	length := max(size, len(`[]`)) // the brackets are as long as the last element's end
	setHeader(w.Header())
	w.Header().Set("Content-Length", strconv.Itoa(length))
	control := http.NewResponseController(w)
	_ = control.SetWriteDeadline(time.Now().Add(timeout)) // see ServePoll
	if _, err := w.Write([]byte{'['}); err != nil {
		return err
	}
	left := length - len(`[]`)
	for _, b := range pieces {
		b = b[:min(left, len(b))]
		if len(b) == 0 {
			break
		}
		left -= len(b)
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
	if _, err := w.Write([]byte{']'}); err != nil {
		return err
	}
	if err := control.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	_ = control.SetWriteDeadline(time.Time{})
	return nil
}
