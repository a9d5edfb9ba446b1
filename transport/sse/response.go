package sse

import (
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"
)

// response is the writing side of a request whose connection the HTTP server
// keeps, in the shape that package sock sends to: Write blocks, and Close unblocks
// it. It must not be used any more after release.
type response struct {
	net.Conn // nil; sock calls only what is below

	w       http.ResponseWriter
	control *http.ResponseController
	gone    <-chan struct{} // the request's context: the peer is gone
	timeout time.Duration   // of one write
	started chan struct{}   // closed by Conn.Start
	stopped chan struct{}   // closed when reason is set

	mu       sync.Mutex // guards what follows
	reason   error      // why wait is to return
	linger   *time.Timer
	late     *time.Timer // runs while a Write does; nil before the first
	began    time.Time   // when that did; zero: none does
	closed   bool
	complete bool // everything was written, and the end of the response is to be orderly
	released bool // the handler is about to return
}

// longAgo is a deadline that fails what waits.
var longAgo = time.Unix(1, 0)

func newResponse(w http.ResponseWriter, r *http.Request, timeout time.Duration) *response {
	return &response{
		w:       w,
		control: http.NewResponseController(w),
		gone:    r.Context().Done(),
		timeout: timeout,
		started: make(chan struct{}),
		stopped: make(chan struct{}),
	}
}

// Write sends b and returns when the server has taken it. A deadline for each would be
// two messages to the server's own goroutine over HTTP/2, and must not stay until the next one:
// there it resets a stream that is idle. So it is set by a timer, and only if the write is late.
func (r *response) Write(b []byte) (int, error) {
	if err := r.begin(); err != nil {
		return 0, err
	}
	defer r.done()
	n, err := r.w.Write(b)
	if err == nil {
		err = r.control.Flush()
	}
	return n, err
}

func (r *response) begin() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || r.released {
		return net.ErrClosed
	}
	r.began = time.Now()
	if r.late == nil {
		r.late = time.AfterFunc(r.timeout, r.expireWrite)
	} else {
		r.late.Reset(r.timeout)
	}
	return nil
}

func (r *response) done() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.began = time.Time{}
	r.late.Stop()
}

// expireWrite fails a Write that takes too long.
func (r *response) expireWrite() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.released || r.began.IsZero() || time.Since(r.began) < r.timeout { // the timer was too late
		return
	}
	_ = r.control.SetWriteDeadline(longAgo)
}

// CloseWrite ends the response in order: all is written, save for the few bytes
// of the end itself, which the server writes when the handler has returned.
func (r *response) CloseWrite() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || r.released {
		return net.ErrClosed
	}
	r.complete = true
	r.stopLocked(io.EOF)
	return r.control.SetWriteDeadline(time.Now().Add(r.timeout))
}

// Close fails a Write that waits.
func (r *response) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	r.stopLocked(net.ErrClosed)
	if r.complete || r.released {
		return nil
	}
	return r.control.SetWriteDeadline(longAgo)
}

// expire makes wait return with [os.ErrDeadlineExceeded] after d.
func (r *response) expire(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.linger != nil || r.reason != nil {
		return
	}
	r.linger = time.AfterFunc(d, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.stopLocked(os.ErrDeadlineExceeded)
	})
}

// stopLocked makes wait return. mu is held.
func (r *response) stopLocked(reason error) {
	if r.reason != nil {
		return
	}
	r.reason = reason
	close(r.stopped)
	if r.linger != nil {
		r.linger.Stop()
	}
}

// wait returns why the response is to end: io.EOF if the peer is gone or all is
// written.
func (r *response) wait() error {
	select {
	case <-r.gone:
	case <-r.stopped:
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.reason != nil { // aborting looks as if the peer had gone
		return r.reason
	}
	return io.EOF
}

// release makes sure that nothing uses the response writer any more.
func (r *response) release() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.released = true
	r.stopLocked(net.ErrClosed) // and with it the timer
	if r.late != nil {
		r.late.Stop()
	}
}
