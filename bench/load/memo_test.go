//go:build linux

package load

import (
	"bytes"
	"compress/flate"
	"fmt"
	"strings"
	"testing"

	"github.com/liveim/im/bench/rig"
)

func TestMemoInflatesOnce(t *testing.T) {
	var m memo
	frames := [][]byte{deflated(t, batch(1, 3)), deflated(t, batch(4, 2)), deflated(t, []byte("nothing"))}
	for range 5 {
		for i, want := range []int{3, 2, 0} {
			all, err := m.stamps(frames[i], testSize-1)
			if err != nil || len(all) != want {
				t.Fatalf("frame %d has %d messages, %v", i, len(all), err)
			}
			if want > 0 && all[0] != (stamp{began.UnixNano(), []uint64{1, 4}[i]}) {
				t.Fatalf("frame %d begins with %+v", i, all[0])
			}
		}
	}
	if m.misses != 3 {
		t.Errorf("%d were inflated, want 3", m.misses)
	}
}

func TestMemoIsBounded(t *testing.T) {
	var m memo
	for i := range mostKnown + 10 {
		stored := fmt.Appendf(nil, "\x00\x08\x00\xf7\xff%08d\x00", i) // eight bytes as they are
		if _, err := m.stamps(stored, testSize); err != nil {
			t.Fatal(err)
		}
	}
	if len(m.known) > mostKnown {
		t.Errorf("%d are remembered", len(m.known))
	}
}

func TestContextTakeoverIsRefused(t *testing.T) {
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	text := []byte(strings.Repeat("the same words again and again ", 20))
	var second []byte
	for range 2 {
		b.Reset()
		if _, err := w.Write(text); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		second = bytes.TrimSuffix(b.Bytes(), []byte("\x00\x00\xff\xff"))
	}
	var m memo
	if _, err := m.stamps(second, testSize); err == nil || !strings.Contains(err.Error(), "take over the context") {
		t.Errorf("a message that needs the one before: %v", err)
	}

	s := &Swarm{opts: Options{Deflate: true, Dialect: rig.Dialect{}}}
	c := &conn{}
	head := "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: " + accept + "\r\nSec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover\r\n"
	if err := c.answered(s, []byte(head)); err == nil || !strings.Contains(err.Error(), "takes over the context") {
		t.Errorf("a handshake that keeps the context: %v", err)
	}
	s.opts.Deflate = false
	if err := c.answered(s, []byte(head)); err == nil || !strings.Contains(err.Error(), "not offered") {
		t.Errorf("a handshake with what was not offered: %v", err)
	}
}
