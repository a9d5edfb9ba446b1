// Package inlet keeps the rules of a [transport.Session] for a transport whose
// messages arrive by other requests, on goroutines that are not its own: the
// calls of the reader take turns, and Closed comes last.
package inlet

import (
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"sync"

	"github.com/liveim/im/transport"
)

// ErrOver is the answer to a message for a session that takes no more. It wraps
// [net.ErrClosed].
var ErrOver = fmt.Errorf("transport: the session is over; open another: %w", net.ErrClosed)

// errExited is the cause when host code ended the goroutine of a call.
var errExited = errors.New("transport: the session called runtime.Goexit; return from its methods instead")

// Inlet is the way to one session. Call Init before anything else. All methods
// are safe for use by many goroutines, and hold no lock while they call the
// session. It ends with End, upon which Session.Closed is called when the last
// call of the session has returned. An idle Inlet owns no goroutine.
type Inlet struct {
	lost func(error)

	mu      sync.Mutex // guards what follows; nothing is called under it
	session transport.Session
	changed chan struct{} // closed at the next change; nil if nobody waits for one
	uses    int           // calls of the session that run
	reading bool          // one of them is the reader's
	quiet   bool          // the reader's calls are over
	ended   bool
	cause   error
}

// Init sets what is called when a call of the session panicked or ended its
// goroutine: it has to bring End about, and may call it.
func (i *Inlet) Init(lost func(error)) { i.lost = lost }

// Start gives the inlet its session, which is called from now on.
func (i *Inlet) Start(s transport.Session) {
	i.mu.Lock()
	i.session = s
	i.signalLocked()
	ended := i.ended
	i.mu.Unlock()
	if ended {
		go i.closed()
	}
}

// Receive passes a message to the session. It waits for Start and for the turn
// of the reader, and returns when the session has worked on msg, which is not
// kept. The error is [ErrOver], or that of the session, which ends the turns.
func (i *Inlet) Receive(msg []byte) error {
	err := ErrOver
	i.read(func(s transport.Session) {
		if err = s.Receive(msg); err != nil {
			i.Quiet()
		}
	})
	return err
}

// Fail tells the session, in its turn, that the peer broke the rules.
func (i *Inlet) Fail(code int, reason string) {
	i.read(func(s transport.Session) {
		i.Quiet()
		s.Fail(code, reason)
	})
}

// Writable tells the session that there is room.
func (i *Inlet) Writable() {
	i.mu.Lock()
	s := i.session
	if s == nil || i.ended {
		i.mu.Unlock()
		return
	}
	i.uses++
	i.mu.Unlock()
	i.use(s, false, transport.Session.Writable)
}

// Quiet ends the calls of the reader: none begins any more.
func (i *Inlet) Quiet() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.quiet = true
	i.signalLocked()
}

// End has Session.Closed called with cause, unless it was ended before. It does
// not wait for that.
func (i *Inlet) End(cause error) {
	i.mu.Lock()
	if i.ended {
		i.mu.Unlock()
		return
	}
	i.ended, i.cause = true, cause
	i.signalLocked()
	now := i.uses == 0 && i.session != nil
	i.mu.Unlock()
	if now {
		go i.closed()
	}
}

// signalLocked wakes who waits for a turn. mu is held.
func (i *Inlet) signalLocked() {
	if i.changed != nil {
		close(i.changed)
		i.changed = nil
	}
}

// read calls f with the session when it is the reader's turn, or not at all if
// there are no more turns.
func (i *Inlet) read(f func(transport.Session)) {
	i.mu.Lock()
	for !i.quiet && !i.ended && (i.session == nil || i.reading) {
		if i.changed == nil {
			i.changed = make(chan struct{})
		}
		changed := i.changed
		i.mu.Unlock()
		<-changed
		i.mu.Lock()
	}
	if i.quiet || i.ended {
		i.mu.Unlock()
		return
	}
	i.reading = true
	i.uses++
	s := i.session
	i.mu.Unlock()
	i.use(s, true, f)
}

// use calls f, whose use has been counted. It survives a panic.
func (i *Inlet) use(s transport.Session, reader bool, f func(transport.Session)) {
	defer i.leave(reader)
	returned := false
	defer func() {
		if v := recover(); v != nil {
			i.lost(fmt.Errorf("transport: panic in the session: %v\n%s", v, debug.Stack()))
		} else if !returned {
			i.lost(errExited)
		}
	}()
	f(s)
	returned = true
}

// leave ends a use, and tells the session of the end if it was the last one.
func (i *Inlet) leave(reader bool) {
	i.mu.Lock()
	i.uses--
	if reader {
		i.reading = false
		i.signalLocked()
	}
	last := i.ended && i.uses == 0
	i.mu.Unlock()
	if last {
		i.closed()
	}
}

// closed tells the session. It is a goroutine, or the end of the last use.
func (i *Inlet) closed() {
	// There is nobody left to tell about a panic in Closed, but the process of
	// the host must survive it.
	defer func() { _ = recover() }()
	i.session.Closed(i.cause)
}
