package websocket

import (
	"sync"

	"github.com/liveim/im/internal/ws"
)

// Text is the format of messages that one session gets: a text frame.
type Text struct{}

// Append implements [transport.Format].
func (Text) Append(dst, message []byte) []byte {
	return ws.AppendFrame(dst, ws.OpText, true, false, message)
}

// AppendHead implements [transport.Splitter].
func (Text) AppendHead(dst, head []byte, n int) []byte {
	return ws.AppendFrameHead(dst, ws.OpText, true, false, head, n)
}

// Deflated is the format of messages that many sessions get: a compressed text
// frame, or a plain one where compression does not make it smaller.
type Deflated struct {
	// Threshold is the size in bytes from which a message is compressed.
	Threshold int
}

// Append implements [transport.Format].
func (d Deflated) Append(dst, message []byte) []byte {
	if len(message) < d.Threshold {
		return Text{}.Append(dst, message)
	}
	s := scratches.Get().(*scratch)
	defer s.free()
	s.b = ws.AppendDeflated(s.b, message)
	if len(s.b) >= len(message) {
		return Text{}.Append(dst, message)
	}
	return ws.AppendFrame(dst, ws.OpText, true, true, s.b)
}

// scratch holds a compressed payload until its length is known.
type scratch struct{ b []byte }

// maxScratch is the largest buffer that the pool keeps, in bytes.
const maxScratch = 64 << 10

var scratches = sync.Pool{New: func() any { return new(scratch) }}

func (s *scratch) free() {
	if cap(s.b) <= maxScratch {
		s.b = s.b[:0]
		scratches.Put(s)
	}
}
