//go:build unix && !portable

package sock

import "sync"

// writeOp is one TrySend on its way through the descriptor's callback. It comes
// from a pool, so that connections hold none while they do not send.
type writeOp struct {
	bufs   [][]byte // bufs[0][offset:] is next
	offset int
	total  int
	n      int // bytes written
	err    error
	vectors
}

var writeOps = sync.Pool{New: func() any { return new(writeOp) }}

// advance notes n more written bytes.
func (w *writeOp) advance(n int) {
	w.n += n
	n += w.offset
	for len(w.bufs) > 0 && n >= len(w.bufs[0]) {
		n -= len(w.bufs[0])
		w.bufs = w.bufs[1:]
	}
	w.offset = n
}

// sendNow writes what the socket takes without waiting.
func (c *Conn) sendNow(bufs [][]byte, total int) (int, error) {
	w := writeOps.Get().(*writeOp)
	w.bufs, w.total = bufs, total
	c.write = w
	err := c.raw.Write(c.tryWrite)
	c.write = nil
	n := w.n
	if err == nil {
		err = w.err
	}
	w.bufs, w.offset, w.total, w.n, w.err = nil, 0, 0, 0, nil
	writeOps.Put(w)
	return n, err
}
