package transporttest

import (
	"bytes"
	"errors"
	"runtime"
	"time"
)

func testBeforeStart(f *fixture) {
	l := f.open()
	sent := goDo(func() error { return l.peer.Send(message(1, 100)) })
	l.settle()
	l.verdict() // the session notes calls that come before Start
	l.start()
	if msg := await(l, l.hub.received, "a message from before Start was lost"); !bytes.Equal(msg, message(1, 100)) {
		l.Errorf("Receive got %q", msg)
	}
	if err := await(l, sent, "the peer's Send did not return"); err != nil {
		l.Errorf("the peer's Send: %v", err)
	}
	l.abort()
}

func testBackPressure(f *fixture) {
	const size, limit = 32 << 10, 32 << 20
	l := f.open()
	entered, release := make(chan struct{}, backlog), make(chan struct{})
	l.hub.onReceive = func([]byte) error {
		entered <- struct{}{}
		<-release
		return nil
	}
	l.start()
	msg := noise(size)
	all := goDo(func() error {
		sent := 0
		for sent < limit && l.peer.Send(msg) == nil {
			sent += size
		}
		if sent < limit {
			return nil // Abort has ended it
		}
		return errors.New("the peer could send 32 MiB while Receive blocked; a transport must not read on, or buffer without bound")
	})
	await(l, entered, "Receive was not called")
	never(l, entered, "Receive was called again before it had returned")
	l.conn.Abort()
	never(l, l.hub.closed, "Closed was called while Receive ran; it has to be last")
	close(release)
	l.ended()
	if err := await(l, all, "the peer's Send hangs although the connection was aborted"); err != nil {
		l.Error(err)
	}
}

func testReceiveError(f *fixture) {
	l := f.open()
	calls := make(chan struct{}, backlog)
	l.hub.onReceive = func([]byte) error {
		calls <- struct{}{}
		return errors.New("no more")
	}
	l.start()
	_ = l.peer.Send(message(1, 100))
	await(l, calls, "Receive was not called")
	_ = l.peer.Send(message(2, 100)) // may fail
	l.settle()
	// The hub can still say goodbye.
	l.mustSend(l.conn.Private().Append(nil, message(0, 100)))
	l.conn.Finish()
	if err := await(l, goDo(func() error { return l.expect(0, 1, 100) }), "nothing arrived after an error of Receive"); err != nil {
		l.Errorf("after an error of Receive: %v", err)
	}
	_ = l.peer.Close()
	l.ended()
	if len(calls) > 0 {
		l.Error("Receive was called again after it had returned an error")
	}
}

func testReceivePanic(f *fixture) {
	l := f.open()
	l.hub.onReceive = func([]byte) error { panic("the host's bug") }
	l.start()
	_ = l.peer.Send(message(1, 100))
	if err := l.outcome(); err == nil {
		l.Error("Closed(nil) after a panic in Receive; it has to say what happened")
	}
}

func testReceiveGoexit(f *fixture) {
	l := f.open()
	l.hub.onReceive = func([]byte) error { runtime.Goexit(); return nil }
	l.start()
	go func() { _ = l.peer.Send(message(1, 100)) }() // a transport may use the peer's goroutine
	if err := l.outcome(); err == nil {
		l.Error("Closed(nil) after runtime.Goexit in Receive; it has to say what happened")
	}
}

func testWritablePanic(f *fixture) {
	l := f.open()
	l.hub.onWritable = func() { panic("the host's bug") }
	l.start()
	l.fill()
	go func() {
		for {
			if _, err := l.peer.Recv(); err != nil {
				return
			}
		}
	}()
	if err := l.outcome(); err == nil {
		l.Error("Closed(nil) after a panic in Writable; it has to say what happened")
	}
}

func testHeartbeat(f *fixture) {
	l := f.connect()
	beat, answered := l.conn.Heartbeat()
	if beat == nil {
		l.abort()
		l.Skip("the transport has no heartbeat")
	}
	got := goDo(func() error { return l.expect(0, 2, 100) })
	again, _ := l.conn.Heartbeat()
	l.mustSend(beat, l.conn.Private().Append(nil, message(0, 100)), again)
	for range 2 {
		if !answered {
			break
		}
		await(l, l.hub.alive, "a peer that reads did not make the transport call Alive after Heartbeat was sent")
	}
	l.mustSend(l.conn.Private().Append(nil, message(1, 100)))
	if err := await(l, got, "messages around a heartbeat did not arrive"); err != nil {
		l.Error(err)
	}
	l.abort()
}

func testControl(f *fixture) {
	l := f.connect()
	pinger, ok := l.peer.(Pinger)
	if !ok {
		l.abort()
		l.Skip("the peer cannot ping")
	}
	var newest []byte
	for _, payload := range []string{"one", "two", "three"} {
		if err := pinger.Ping([]byte(payload)); err != nil {
			l.Fatal(err)
		}
		newest = await(l, l.hub.control, "a ping did not make the transport call Control")
	}
	// A hub keeps the newest only.
	pong := goDo(func() string {
		payload, err := pinger.Pong()
		if err != nil {
			return err.Error()
		}
		return string(payload)
	})
	l.mustSend(newest)
	if got := await(l, pong, "what Control asked to send did not answer the ping"); got != "three" {
		l.Errorf("the newest answer carried %q in place of \"three\"; each has to stand alone", got)
	}
	got := goDo(func() error { return l.expect(0, 1, 100) })
	l.mustSend(l.conn.Private().Append(nil, message(0, 100)))
	if err := await(l, got, "nothing arrived after a control message"); err != nil {
		l.Error(err)
	}
	l.abort()
}

func testOverdue(f *fixture) {
	l := f.connect()
	staller, ok := l.peer.(Staller)
	if !ok {
		if l.conn.Overdue(time.Now().Add(time.Hour)) {
			l.Error("Overdue is true of a peer that owes nothing")
		}
		l.abort()
		l.Skip("the peer cannot stall")
	}
	if l.conn.Overdue(time.Now().Add(time.Hour)) {
		l.Error("Overdue is true of a peer that owes nothing")
	}
	if err := l.peer.Send(message(1, 100)); err != nil {
		l.Fatal(err)
	}
	await(l, l.hub.received, "Receive was not called")
	if err := staller.Stall(); err != nil {
		l.Fatal(err)
	}
	overdue := func() bool { return l.conn.Overdue(time.Now().Add(staller.Limit() + time.Minute)) }
	for end := time.Now().Add(patience); !overdue(); {
		if time.Now().After(end) {
			l.Fatal("Overdue stays false although half a message is older than the limit")
		}
		l.settle()
	}
	if l.conn.Overdue(time.Now()) {
		l.Error("Overdue is true before the limit")
	}
	l.abort()
}
