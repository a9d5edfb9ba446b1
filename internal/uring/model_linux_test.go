//go:build !portable && !mips && !mipsle && !mips64 && !mips64le

package uring

import (
	"bytes"
	"errors"
	"syscall"
	"testing"

	"pgregory.net/rapid"
)

// conn is a connection of the model: what was taken for it has to arrive.
type conn struct {
	pair
	want, got []byte
	lost      bool // the peer has gone
	closed    bool // so has this end
}

// queuedSend is what the model knows of an entry.
type queuedSend struct {
	c     *conn
	bytes []byte
}

type model struct {
	r     *Ring
	conns []*conn
	queue []queuedSend
	next  byte
}

// TestModel mixes sends, lists, full sockets, lost peers and closed descriptors
// and compares each result and each byte with what a socket owes.
func TestModel(t *testing.T) {
	newTestRing(t, 1) // skips where there is none
	rapid.Check(t, func(t *rapid.T) {
		r, err := New(rapid.IntRange(1, 40).Draw(t, "entries"))
		must(t, err)
		m := &model{r: r}
		defer m.close(t)
		for range rapid.IntRange(1, 5).Draw(t, "connections") {
			c := &conn{pair: unixPair(t)}
			must(t, syscall.SetsockoptInt(c.near, syscall.SOL_SOCKET, syscall.SO_SNDBUF, 4096))
			m.conns = append(m.conns, c)
		}
		t.Repeat(map[string]func(*rapid.T){
			"send":   m.send,
			"sendv":  m.sendv,
			"submit": m.submit,
			"read":   func(t *rapid.T) { m.read(t, m.pick(t)) },
			"lose":   m.lose,
			"close":  m.closeOne,
			"":       m.check,
		})
		m.submit(t)
		for _, c := range m.conns {
			m.read(t, c)
		}
	})
}

func (m *model) pick(t *rapid.T) *conn { return rapid.SampledFrom(m.conns).Draw(t, "connection") }

// payload is bytes that differ from those before, so that a swap shows.
func (m *model) payload(t *rapid.T, most int) []byte {
	b := make([]byte, rapid.IntRange(0, most).Draw(t, "length"))
	for i := range b {
		m.next++
		b[i] = m.next
	}
	return b
}

func (m *model) room(t *rapid.T) *conn {
	if m.r.Len() == m.r.Cap() {
		t.Skip("full")
	}
	return m.pick(t)
}

func (m *model) send(t *rapid.T) {
	c := m.room(t)
	b := m.payload(t, 3000)
	m.queue = append(m.queue, queuedSend{c, b})
	m.r.Send(c.near, b)
}

func (m *model) sendv(t *rapid.T) {
	c := m.room(t)
	bufs := make([][]byte, rapid.IntRange(0, 12).Draw(t, "buffers"))
	for i := range bufs {
		bufs[i] = m.payload(t, 400)
	}
	m.queue = append(m.queue, queuedSend{c, bytes.Join(bufs, nil)})
	m.r.Sendv(c.near, bufs)
}

func (m *model) submit(t *rapid.T) {
	results := submit(t, m.r)
	if len(results) != len(m.queue) {
		t.Fatalf("%d results for %d sends", len(results), len(m.queue))
	}
	for i, q := range m.queue {
		res := results[i]
		switch errno := syscall.Errno(-min(res, 0)); {
		case q.c.closed:
			if errno != syscall.EBADF {
				t.Fatalf("send %d to a closed descriptor: %d", i, res)
			}
		case q.c.lost:
			if errno != syscall.EPIPE {
				t.Fatalf("send %d to a lost peer: %d", i, res)
			}
		case errno == syscall.EAGAIN:
			if len(q.c.want) == len(q.c.got) {
				t.Fatalf("send %d to an empty socket: %d", i, res)
			}
		case res < 0 || int(res) > len(q.bytes):
			t.Fatalf("send %d of %d bytes: %d", i, len(q.bytes), res)
		default:
			q.c.want = append(q.c.want, q.bytes[:res]...)
		}
	}
	m.queue = m.queue[:0]
}

func (m *model) read(t *rapid.T, c *conn) {
	if c.lost {
		return
	}
	c.got = append(c.got, c.arrived(t)...)
	if !bytes.Equal(c.got, c.want) {
		t.Fatalf("%d bytes arrived, %d were taken, or others", len(c.got), len(c.want))
	}
}

func (m *model) lose(t *rapid.T) {
	c := m.pick(t)
	c.lost = true
	c.closeFar()
}

func (m *model) closeOne(t *rapid.T) {
	c := m.pick(t)
	if m.holds(c) {
		t.Skip("the contract of Send forbids it")
	}
	c.closed = true
	c.closeNear()
}

func (m *model) holds(c *conn) bool {
	for _, q := range m.queue {
		if q.c == c {
			return true
		}
	}
	return false
}

func (m *model) check(t *rapid.T) {
	if m.r.Len() != len(m.queue) {
		t.Fatalf("Len is %d with %d queued", m.r.Len(), len(m.queue))
	}
}

func (m *model) close(t *rapid.T) {
	for _, c := range m.conns {
		c.closeNear()
		c.closeFar()
	}
	if err := errors.Join(m.r.Close(), m.r.Close()); err != nil {
		t.Fatal(err)
	}
}
