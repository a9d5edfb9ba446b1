package ws

import (
	"encoding/binary"
	"math"
)

const (
	bitFin  = 0x80
	bitRSV1 = 0x40
	bitRSV  = 0x70
	bitMask = 0x80

	len16 = 126 // a 16-bit length follows
	len64 = 127 // a 64-bit length follows

	maxHeader = 14 // two bytes, a 64-bit length, a masking key
)

// AppendFrame appends one unmasked frame, as servers send it, to dst
// (RFC 6455 section 5.2). rsv1 marks the first frame of a compressed message.
// It encodes what it is told: that control frames are final and no longer than
// 125 bytes is the caller's to keep.
func AppendFrame(dst []byte, op Opcode, fin, rsv1 bool, payload []byte) []byte {
	return append(appendHeader(dst, op, fin, rsv1, 0, len(payload)), payload...)
}

// AppendFrameHead appends the beginning of a frame as [AppendFrame] writes it: the header, and
// the first bytes of the payload, of which n more follow as they are.
func AppendFrameHead(dst []byte, op Opcode, fin, rsv1 bool, head []byte, n int) []byte {
	return append(appendHeader(dst, op, fin, rsv1, 0, len(head)+n), head...)
}

// AppendMaskedFrame appends one frame masked with key, as clients send it, to
// dst; payload itself is left as it is. Take a fresh unpredictable key for
// every frame (RFC 6455 section 5.3). It is otherwise like [AppendFrame].
func AppendMaskedFrame(dst []byte, op Opcode, fin, rsv1 bool, key [4]byte, payload []byte) []byte {
	dst = appendHeader(dst, op, fin, rsv1, bitMask, len(payload))
	dst = append(dst, key[:]...)
	start := len(dst)
	dst = append(dst, payload...)
	Mask(key, 0, dst[start:])
	return dst
}

// HeaderSize returns the size in bytes of the header that [AppendFrame] writes
// for a payload of n bytes. Masked frames take four bytes more.
func HeaderSize(n int) int {
	switch {
	case n < len16:
		return 2
	case n <= math.MaxUint16:
		return 4
	}
	return 10
}

func appendHeader(dst []byte, op Opcode, fin, rsv1 bool, mask byte, n int) []byte {
	first := byte(op)
	if fin {
		first |= bitFin
	}
	if rsv1 {
		first |= bitRSV1
	}
	switch HeaderSize(n) {
	case 2:
		return append(dst, first, mask|byte(n))
	case 4:
		return binary.BigEndian.AppendUint16(append(dst, first, mask|len16), uint16(n))
	}
	return binary.BigEndian.AppendUint64(append(dst, first, mask|len64), uint64(n))
}
