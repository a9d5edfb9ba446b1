package longpoll

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/liveim/im/internal/inlet"
)

// errLost is the outcome of a response that was not written to its end because
// something panicked.
var errLost = errors.New("longpoll: writing the answer did not return")

// poll is a request that waits. A Conn uses one again and again.
type poll struct {
	wake  chan struct{} // holds a token if there is a reason to answer now
	timer *time.Timer   // runs until the end of the wait, or of what gathers

	// Guarded by Conn.mu.
	gathers bool // there is something to answer with
	full    bool // takes nothing any more
}

// gather has the request be answered after d, unless that was begun before. It leaves the
// goroutine of the request asleep.
func (p *poll) gather(d time.Duration) {
	if !p.gathers {
		p.gathers = true
		p.timer.Reset(d)
	}
}

// signal has the request be answered now. It does not block.
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
	liftDeadline(w, r)
	p, writable := c.begin(wait)
	if p == nil {
		return inlet.ErrOver
	}
	if writable {
		c.inlet.Writable()
	}
	p.await(r.Context())
	if gone := r.Context().Err() != nil; gone {
		c.abandon(p)
	} else {
		c.respond(w, r, p)
	}
	c.retire(p)
	return nil
}

// liftDeadline lifts the deadline of the server that the wait could miss. That for
// writing means nothing to HTTP/1.1 while nothing is written, but resets a stream of HTTP/2;
// that for reading means nothing to HTTP/2 without a body, but counts as the end of a client of
// HTTP/1.1. A server that does not let it be changed may well have none.
func liftDeadline(w http.ResponseWriter, r *http.Request) {
	control := http.NewResponseController(w)
	if r.ProtoMajor == 1 {
		_ = control.SetReadDeadline(time.Time{})
	} else {
		_ = control.SetWriteDeadline(time.Time{})
	}
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

// begin returns a poll that waits, in place of another request, and reports whether
// Writable is owed. It returns nil if the Conn has ended. retire follows.
func (c *Conn) begin(wait time.Duration) (p *poll, writable bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return nil, false
	}
	c.dropLocked()
	if p, c.spare = c.spare, nil; p != nil {
		p.timer.Reset(wait)
	} else {
		p = &poll{wake: make(chan struct{}, 1), timer: time.NewTimer(wait)}
	}
	c.poll = p
	if c.finished {
		p.signal()
	}
	writable = c.short && !c.finished
	c.short = false
	return p, writable
}

// retire keeps p for the next request. Nobody but this one knows it any more.
func (c *Conn) retire(p *poll) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p.timer.Stop()
	if c.ended || c.spare != nil {
		return
	}
	select {
	case <-p.wake:
	default:
	}
	p.gathers, p.full = false, false
	c.spare = p
}

// await returns when p is to be answered or the client is gone.
func (p *poll) await(ctx context.Context) {
	select {
	case <-p.wake:
	case <-p.timer.C:
	case <-ctx.Done():
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
func (c *Conn) respond(w http.ResponseWriter, r *http.Request, p *poll) {
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
	control := http.NewResponseController(w)
	err := errLost
	if mine {
		defer func() { c.served(control, err) }() // also if middleware panics
	}
	_ = control.SetWriteDeadline(time.Now().Add(c.options.writeTimeout())) // see ServePoll
	err = write(w, pieces, size)
	if err != nil || r.ProtoMajor != 1 {
		// Over HTTP/2 the server sends the answer and its end together when the handler
		// returns, and until then the deadline is of use. Both are the stream's alone.
		return
	}
	if err = flush(control); err == nil {
		_ = control.SetWriteDeadline(time.Time{}) // the connection goes on to serve other requests
	}
}

// served notes that a response was written.
func (c *Conn) served(control *http.ResponseController, err error) {
	c.mu.Lock()
	c.writing--
	c.restLocked()
	done := c.finished && c.poll == nil && c.writing == 0 && !c.short
	c.mu.Unlock()
	if !done {
		return
	}
	if err == nil {
		err = flush(control)
	}
	if err != nil {
		err = fmt.Errorf("longpoll: write the last answer: %w", err)
	}
	c.end(err)
}

func flush(control *http.ResponseController) error {
	if err := control.Flush(); !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}
