package ws

import "encoding/binary"

// Mask masks or unmasks b in place (RFC 6455 section 5.3). offset is the number
// of payload bytes of the same frame that came before b, so that a payload can
// be masked in pieces.
func Mask(key [4]byte, offset int, b []byte) {
	var rotated [4]byte
	for i := range rotated {
		rotated[i] = key[(offset+i)&3]
	}
	k := binary.LittleEndian.Uint32(rotated[:])
	k64 := uint64(k)<<32 | uint64(k)
	for len(b) >= 32 {
		binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)^k64)
		binary.LittleEndian.PutUint64(b[8:], binary.LittleEndian.Uint64(b[8:])^k64)
		binary.LittleEndian.PutUint64(b[16:], binary.LittleEndian.Uint64(b[16:])^k64)
		binary.LittleEndian.PutUint64(b[24:], binary.LittleEndian.Uint64(b[24:])^k64)
		b = b[32:]
	}
	for len(b) >= 8 {
		binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)^k64)
		b = b[8:]
	}
	for i := range b {
		b[i] ^= rotated[i&3]
	}
}
