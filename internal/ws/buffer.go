package ws

import (
	"math/bits"
	"sync"
)

// Assembly buffers come in power-of-two classes from 1 KiB to 64 KiB, one pool
// a class, so that a peer who sends one byte of a message pins 1 KiB and not
// whatever large buffer was returned last. Buffers above the largest class are
// left to the garbage collector.
const (
	minBufferBits = 10
	maxBufferBits = 16
)

var bufferPools [maxBufferBits - minBufferBits + 1]sync.Pool

type buffer struct{ b []byte }

// getBuffer returns an empty buffer with room for at least n bytes. Its
// capacity is the next power of two while that is pooled, and n above.
func getBuffer(n int) *buffer {
	class := bits.Len(uint(max(n, 1<<minBufferBits)-1)) - minBufferBits
	if class >= len(bufferPools) {
		return &buffer{make([]byte, 0, n)}
	}
	if buf, ok := bufferPools[class].Get().(*buffer); ok {
		return buf
	}
	return &buffer{make([]byte, 0, 1<<(class+minBufferBits))}
}

// putBuffer takes a buffer back; its content must not be used any more.
func putBuffer(buf *buffer) {
	class := bits.Len(uint(cap(buf.b)-1)) - minBufferBits
	if class >= len(bufferPools) || cap(buf.b) != 1<<(class+minBufferBits) {
		return
	}
	buf.b = buf.b[:0]
	bufferPools[class].Put(buf)
}

// moveBuffer returns a buffer with buf's content and room for n bytes in all,
// and takes buf back. buf may be nil.
func moveBuffer(buf *buffer, n int) *buffer {
	larger := getBuffer(n)
	if buf != nil {
		larger.b = append(larger.b, buf.b...)
		putBuffer(buf)
	}
	return larger
}

var controlPool sync.Pool

// controlBuffer holds the payload of a control frame that came in pieces.
type controlBuffer struct {
	b [maxControl]byte
	n uint8
}

func getControlBuffer() *controlBuffer {
	if c, ok := controlPool.Get().(*controlBuffer); ok {
		return c
	}
	return new(controlBuffer)
}

func putControlBuffer(c *controlBuffer) {
	c.n = 0
	controlPool.Put(c)
}
