package transporttest

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/liveim/im/transport"
)

// patience is how long the suite waits for what has to happen, quiet how long
// for what must not.
const (
	patience = 10 * time.Second
	quiet    = 100 * time.Millisecond
)

// fixture is what a case works with.
type fixture struct {
	*testing.T
	harness Harness
	bubble  bool
}

// link is one open connection.
type link struct {
	*fixture
	conn transport.Conn
	peer Peer
	hub  *session

	shorts int // TrySends of send and fill that came up short
}

// open connects without Start.
func (f *fixture) open() *link {
	f.Helper()
	conn, peer := f.harness.Open(f.T)
	return &link{fixture: f, conn: conn, peer: peer, hub: newSession()}
}

// connect opens a connection and starts it.
func (f *fixture) connect() *link {
	f.Helper()
	l := f.open()
	l.start()
	return l
}

func (l *link) start() {
	l.hub.started.Store(true)
	l.conn.Start(l.hub)
}

// settle gives what must not happen a chance to happen.
func (f *fixture) settle() {
	if f.bubble {
		synctest.Wait()
		return
	}
	for range 100 {
		runtime.Gosched()
	}
}

// await takes a value from ch, or fails the test with what was missed.
func await[T any](l *link, ch <-chan T, missed string) T {
	l.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	select {
	case v := <-ch:
		return v
	case <-timeout.C:
		l.conn.Abort()
		l.verdict()
		l.Fatalf("waited %v: %s", patience, missed)
		panic("not reached")
	}
}

// never fails the test if ch yields a value.
func never[T any](l *link, ch <-chan T, rule string) {
	l.Helper()
	if yields(ch, quiet) {
		l.Error(rule)
	}
}

// yields reports whether ch yields a value in time.
func yields[T any](ch <-chan T, within time.Duration) bool {
	timeout := time.NewTimer(within)
	defer timeout.Stop()
	select {
	case <-ch:
		return true
	case <-timeout.C:
		return false
	}
}

// goDo runs f on a goroutine. The channel yields its result.
func goDo[T any](f func() T) <-chan T {
	done := make(chan T, 1)
	go func() { done <- f() }()
	return done
}

// abort ends the connection and checks how it ended.
func (l *link) abort() {
	l.Helper()
	l.conn.Abort()
	l.ended()
}

// ended waits for Closed and checks the rules.
func (l *link) ended() {
	l.Helper()
	_ = l.outcome()
}

// outcome is like ended, and returns the error of Closed.
func (l *link) outcome() error {
	l.Helper()
	err := await(l, l.hub.closed, "Closed was not called; it has to be, however the connection ends")
	l.settle()
	_ = l.peer.Close()
	l.conn.Abort() // allowed at any time
	l.settle()
	if n := len(l.hub.closed); n > 0 {
		l.Errorf("Closed was called %d times; once is the rule", n+1)
	}
	l.verdict()
	return err
}

// checkWritables checks the count of calls, when the connection is not full.
func (l *link) checkWritables() {
	l.Helper()
	l.settle()
	if n := l.hub.writables.Load(); n != int64(l.shorts) {
		l.Errorf("Writable was called %d times after %d short TrySends; once each is the rule", n, l.shorts)
	}
}

// verdict reports the rules that were broken.
func (l *link) verdict() {
	l.Helper()
	l.hub.mu.Lock()
	defer l.hub.mu.Unlock()
	for _, rule := range l.hub.broken {
		l.Error(rule)
	}
}

// send sends everything, waiting for Writable where TrySend comes up short. One
// goroutine at a time calls it.
func (l *link) send(bufs ...[]byte) error {
	for {
		n, err := l.conn.TrySend(bufs)
		if err != nil {
			return err
		}
		if bufs = rest(bufs, n); len(bufs) == 0 {
			return nil
		}
		l.shorts++
		if err := l.awaitRoom(); err != nil {
			return err
		}
	}
}

func (l *link) awaitRoom() error {
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	select {
	case <-l.hub.writable:
		return nil
	case <-l.hub.dead:
		return errors.New("the connection was closed while TrySend waited for room")
	case <-timeout.C:
		return errors.New("TrySend came up short and Writable was not called; it has to be when there is room")
	}
}

// mustSend is send on the test's goroutine.
func (l *link) mustSend(bufs ...[]byte) {
	l.Helper()
	if err := l.send(bufs...); err != nil {
		l.conn.Abort()
		l.Fatal(err)
	}
}

// fill sends to a peer that does not read until the connection stays full. It
// returns the unsent bytes of the last message, and how many messages were begun.
func (l *link) fill() (left []byte, count int) {
	l.Helper()
	const size, limit = 16 << 10, 64 << 20
	for total := 0; total < limit; {
		if len(left) == 0 {
			left = l.conn.Private().Append(nil, message(count, size))
			count++
		}
		n, err := l.conn.TrySend([][]byte{left})
		if err != nil {
			l.Fatalf("TrySend to a peer that does not read: %v; a full connection is no error", err)
		}
		total += n
		if left = left[n:]; len(left) == 0 {
			continue
		}
		l.shorts++
		if !yields(l.hub.writable, quiet) {
			return left, count
		}
	}
	l.Fatalf("TrySend took %d bytes that nobody reads; it has to come up short before", limit)
	return nil, 0
}

// expect receives messages first to last-1 and checks each.
func (l *link) expect(first, last, size int) error {
	for i := first; i < last; i++ {
		msg, err := l.peer.Recv()
		if err != nil {
			return fmt.Errorf("the peer got %w in place of message %d", err, i)
		}
		if want := message(i, size); !bytes.Equal(msg, want) {
			return fmt.Errorf("the peer got %.60q in place of message %d, %.60q; messages arrive whole and in order", msg, i, want)
		}
	}
	return nil
}

// padding is what messages are made of.
const padding = "The quick brown fox jumps over the lazy dog. 0123456789 ABCDEFGHIJKLMNOPQRSTUVWXYZ"

// message returns a JSON text of about size bytes that is unlike those of other n.
func message(n, size int) []byte {
	msg := make([]byte, 0, size+len(padding)+32)
	msg = fmt.Appendf(msg, `{"n":%d,"pad":"`, n)
	for i := n; len(msg) < size; i++ {
		msg = append(msg, padding[i%len(padding):]...)
	}
	return append(msg, `"}`...)
}

// noise returns a JSON text of about size bytes that hardly compresses.
func noise(size int) []byte {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	msg := append(make([]byte, 0, size+1), '"')
	for x := uint64(1); len(msg) < size; {
		x = x*6364136223846793005 + 1442695040888963407
		msg = append(msg, letters[x>>58])
	}
	return append(msg, '"')
}

// rest returns what follows the first n bytes of bufs, without changing bufs.
func rest(bufs [][]byte, n int) [][]byte {
	for i, b := range bufs {
		if n < len(b) {
			left := append([][]byte{b[n:]}, bufs[i+1:]...)
			return left
		}
		n -= len(b)
	}
	return nil
}
