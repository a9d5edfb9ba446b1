package transporttest

import (
	"errors"
	"io"
	"net"
	"sync"
)

func testPeerClose(f *fixture) {
	l := f.connect()
	if err := l.peer.Send(message(1, 100)); err != nil {
		l.Fatal(err)
	}
	await(l, l.hub.received, "Receive was not called")
	_ = l.peer.Close()
	if err := l.outcome(); err != nil && !errors.Is(err, io.EOF) {
		l.Errorf("Closed(%v) after the peer closed; nil or io.EOF is the rule", err)
	}
	if n, err := l.conn.TrySend([][]byte{[]byte("x")}); n != 0 || err == nil {
		l.Errorf("TrySend after Closed = %d, %v; want 0 and an error", n, err)
	}
}

func testAbort(f *fixture) {
	l := f.connect()
	l.conn.Abort()
	l.conn.Abort()
	if err := l.outcome(); !errors.Is(err, net.ErrClosed) {
		l.Errorf("Closed(%v) after Abort; an error that wraps net.ErrClosed is the rule", err)
	}
	if n, err := l.conn.TrySend([][]byte{[]byte("x")}); n != 0 || err == nil {
		l.Errorf("TrySend after Abort = %d, %v; want 0 and an error", n, err)
	}
	_ = await(l, goDo(func() error {
		for {
			if _, err := l.peer.Recv(); err != nil {
				return err
			}
		}
	}), "the peer's Recv hangs although the hub has aborted")
}

func testAbortBeforeStart(f *fixture) {
	l := f.open()
	l.conn.Abort()
	l.settle()
	l.verdict()
	l.start()
	l.ended()
}

func testAbortInReceive(f *fixture) {
	l := f.open()
	returned := make(chan struct{})
	l.hub.onReceive = func([]byte) error {
		l.conn.Abort()
		close(returned)
		return nil
	}
	l.start()
	_ = l.peer.Send(message(1, 100))
	await(l, returned, "Abort blocks when it is called within Receive")
	l.ended()
}

func testAbortFull(f *fixture) {
	l := f.connect()
	left, _ := l.fill()
	l.abort()
	if n, err := l.conn.TrySend([][]byte{left}); n != 0 || err == nil {
		l.Errorf("TrySend after Abort = %d, %v; want 0 and an error", n, err)
	}
}

func testStampede(f *fixture) {
	for round := range 10 {
		l := f.connect()
		var all sync.WaitGroup
		all.Go(func() {
			for i := 0; l.peer.Send(message(i, 500)) == nil; i++ {
				if i == backlog/2 {
					return
				}
			}
		})
		all.Go(func() {
			for {
				if _, err := l.peer.Recv(); err != nil {
					return
				}
			}
		})
		aborts := make(chan struct{})
		all.Go(func() {
			format := l.conn.Shared()
			for i := range 200 {
				if i == 10*round {
					close(aborts)
				}
				if err := l.send(format.Append(nil, message(i, 4<<10))); err != nil {
					return
				}
			}
		})
		for range 3 {
			all.Go(func() { <-aborts; l.conn.Abort() })
		}
		if round%3 == 0 {
			all.Go(func() { <-aborts; _ = l.peer.Close() })
		}
		l.ended()
		all.Wait()
		l.verdict()
	}
}

func testViolation(f *fixture) {
	l := f.connect()
	violator, ok := l.peer.(Violator)
	if !ok {
		l.abort()
		l.Skip("the peer cannot break a rule")
	}
	found := l.receiveFarewell(1)
	l.mustSend(l.conn.Private().Append(nil, message(0, 100)))
	violated := goDo(violator.Violate)
	got := await(l, l.hub.failed, "Fail was not called after the peer had broken the protocol")
	if got.Code < 1000 || got.Code > 4999 || got.Reason == "" {
		l.Errorf("Fail(%d, %q); it needs a close code and a reason that says what to do", got.Code, got.Reason)
	}
	wire := l.conn.Farewell(got.Code, got.Reason)
	l.mustSend(wire)
	l.conn.Finish()
	_ = await(l, violated, "the peer's Violate hangs")
	l.expectFarewell(found, wire, got)
	l.ended()
}

// ending is what the peer got to the end.
type ending struct {
	messages error // nil if all arrived
	farewell error
}

// receiveFarewell makes the peer receive count messages and then the farewell.
func (l *link) receiveFarewell(count int) <-chan ending {
	return goDo(func() (e ending) {
		if e.messages = l.expect(0, count, 100); e.messages == nil {
			_, e.farewell = l.peer.Recv()
		}
		return e
	})
}

// expectFarewell checks what receiveFarewell has found. wire is the farewell as
// it was sent: if the transport has none, the end of the stream is all there is.
func (l *link) expectFarewell(found <-chan ending, wire []byte, want CloseError) {
	l.Helper()
	end := await(l, found, "the peer did not receive the farewell, or the end of the stream")
	var got *CloseError
	switch {
	case end.messages != nil:
		l.Error(end.messages)
	case wire == nil && end.farewell == nil:
		l.Error("the peer got another message in place of the end of the stream")
	case wire == nil:
	case !errors.As(end.farewell, &got):
		l.Errorf("the peer got %v in place of the farewell", end.farewell)
	case *got != want:
		l.Errorf("the peer got the farewell %+v in place of %+v", *got, want)
	}
	_ = l.peer.Close()
}

func testFinish(f *fixture) {
	const count = 50
	l := f.connect()
	want := CloseError{4001, "come back later"}
	found := l.receiveFarewell(count)
	for i := range count {
		l.mustSend(l.conn.Private().Append(nil, message(i, 100)))
	}
	wire := l.conn.Farewell(want.Code, want.Reason)
	l.mustSend(wire)
	l.conn.Finish()
	l.expectFarewell(found, wire, want)
	if err := l.outcome(); err != nil && !errors.Is(err, io.EOF) {
		l.Errorf("Closed(%v) after Finish to a peer that closed; nil or io.EOF is the rule", err)
	}
}

func testFinishUnread(f *fixture) {
	l := f.connect()
	l.fill()
	l.conn.Finish()
	if err := l.outcome(); err == nil {
		l.Error("Closed(nil) although the peer never read what was sent; it has to say so")
	}
}
