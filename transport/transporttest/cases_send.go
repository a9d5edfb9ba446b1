package transporttest

import (
	"bytes"
	"hash/maphash"
	"slices"
)

func testOrder(f *fixture) {
	const count = 300
	l := f.connect()
	sent := goDo(func() error {
		for i := range count {
			if err := l.peer.Send(message(i, 100+i)); err != nil {
				return err
			}
		}
		return nil
	})
	got := goDo(func() error {
		for i := range count {
			if err := l.expect(i, i+1, 100+i); err != nil {
				return err
			}
		}
		return nil
	})
	for i := range count {
		l.mustSend(l.conn.Private().Append(nil, message(i, 100+i)))
	}
	for i := range count {
		msg := await(l, l.hub.received, "a message of the peer did not reach Receive")
		if want := message(i, 100+i); !bytes.Equal(msg, want) {
			l.Fatalf("Receive got %.60q in place of message %d, %.60q", msg, i, want)
		}
	}
	if err := await(l, sent, "the peer could not send although the hub receives"); err != nil {
		l.Errorf("the peer's Send: %v", err)
	}
	if err := await(l, got, "the peer did not receive what TrySend took"); err != nil {
		l.Error(err)
	}
	l.abort()
}

func testManyBuffers(f *fixture) {
	const count = 3000
	l := f.connect()
	got := goDo(func() error { return l.expect(0, count, 20) })
	var bufs [][]byte
	for i := range count {
		wire := l.conn.Private().Append(nil, message(i, 20))
		cut := i % len(wire)
		bufs = append(bufs, wire[:cut], nil, wire[cut:]) // empty ones are allowed
	}
	l.mustSend(bufs...)
	if n, err := l.conn.TrySend(nil); n != 0 || err != nil {
		l.Errorf("TrySend(nil) = %d, %v; want 0, nil", n, err)
	}
	if err := await(l, got, "the peer did not receive all buffers of one TrySend"); err != nil {
		l.Error(err)
	}
	l.abort()
}

func testLargeMessages(f *fixture) {
	const up, down = 60 << 10, 1 << 20
	l := f.connect()
	got := goDo(func() error { return l.expect(0, 3, down) })
	for i := range 3 {
		l.mustSend(l.conn.Shared().Append(nil, message(i, down)))
	}
	if err := await(l, got, "the peer did not receive messages of 1 MiB"); err != nil {
		l.Error(err)
	}
	sent := goDo(func() error { return l.peer.Send(message(7, up)) })
	if msg := await(l, l.hub.received, "a message of 60 KiB did not reach Receive"); !bytes.Equal(msg, message(7, up)) {
		l.Error("Receive got a message of 60 KiB that was damaged")
	}
	if err := await(l, sent, "the peer could not send 60 KiB"); err != nil {
		l.Errorf("the peer's Send: %v", err)
	}
	l.abort()
}

func testShort(f *fixture) {
	l := f.connect()
	for round := range 2 {
		left, count := l.fill()
		got := goDo(func() error { return l.expect(0, count, 16<<10) })
		await(l, l.hub.writable, "Writable was not called when the peer read on after a short TrySend")
		l.mustSend(left)
		if err := await(l, got, "the rest of a short TrySend did not arrive"); err != nil {
			l.Fatalf("round %d: %v", round, err)
		}
	}
	l.checkWritables()
	l.abort()
}

func testShortRace(f *fixture) {
	const count, size = 200, 32 << 10
	l := f.connect()
	got := goDo(func() error { return l.expect(0, count, size) })
	format := l.conn.Private()
	for i := range count {
		l.mustSend(format.Append(nil, message(i, size)))
	}
	if err := await(l, got, "the peer did not receive everything"); err != nil {
		l.Error(err)
	}
	l.checkWritables()
	l.abort()
}

func testBuffersUntouched(f *fixture) {
	const count = 200
	l := f.connect()
	seed := maphash.MakeSeed()
	got := goDo(func() error { return l.expect(0, count, 8<<10) })
	var bufs [][]byte
	var sums []uint64
	for i := range count {
		wire := l.conn.Private().Append(nil, message(i, 8<<10))
		bufs, sums = append(bufs, wire), append(sums, maphash.Bytes(seed, wire))
	}
	heads := slices.Clone(bufs)
	if n, err := l.conn.TrySend(bufs); err != nil {
		l.Errorf("TrySend: %v", err)
	} else if left := rest(heads, n); len(left) > 0 {
		for i := range heads {
			if len(bufs[i]) != len(heads[i]) {
				l.Errorf("TrySend changed bufs[%d]; the slice is the hub's", i)
			}
		}
		await(l, l.hub.writable, "Writable was not called")
		l.mustSend(left...)
	}
	if err := await(l, got, "the peer did not receive everything"); err != nil {
		l.Error(err)
	}
	for i, wire := range heads {
		if maphash.Bytes(seed, wire) != sums[i] {
			l.Errorf("TrySend changed the bytes of buffer %d; other sessions send the same bytes", i)
		}
	}
	l.abort()
}

func testFormats(f *fixture) {
	const count, size = 100, 600
	l := f.connect()
	got := goDo(func() error { return l.expect(0, count, size) })
	private, shared := l.conn.Private(), l.conn.Shared()
	if private != l.conn.Private() || shared != l.conn.Shared() {
		l.Error("Private and Shared have to return equal values each time, so that sessions share bytes")
	}
	var bufs [][]byte
	for i := range count {
		msg := message(i, size)
		keep := slices.Clone(msg)
		format := private
		if i%2 == 1 {
			format = shared
		}
		wire := format.Append([]byte("x"), msg)
		if wire[0] != 'x' {
			l.Fatal("Format.Append overwrote dst; it has to append")
		}
		if !bytes.Equal(msg, keep) {
			l.Fatal("Format.Append changed the message")
		}
		bufs = append(bufs, wire[1:])
	}
	l.mustSend(bufs...)
	if err := await(l, got, "the peer did not receive both formats"); err != nil {
		l.Error(err)
	}
	l.abort()
}
