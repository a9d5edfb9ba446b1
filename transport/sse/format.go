package sse

import (
	"bytes"
	"strconv"
)

// Event is the format of all messages: an event with the message as its data.
type Event struct{}

// Append implements [transport.Format]. Line breaks, which JSON knows only
// between its tokens, become spaces.
func (Event) Append(dst, message []byte) []byte {
	dst = append(dst, "data: "...)
	start := len(dst)
	dst = append(dst, message...)
	for _, lineBreak := range []byte{'\n', '\r'} {
		for b := dst[start:]; ; {
			i := bytes.IndexByte(b, lineBreak)
			if i < 0 {
				break
			}
			b[i] = ' '
			b = b[i+1:]
		}
	}
	return append(dst, "\n\n"...)
}

// comment is what a client ignores.
var comment = []byte(":\n\n")

// appendMark appends an id field that holds the positions of the rooms.
func appendMark(dst []byte, rooms []string, position func(room string) (epoch string, seq uint64)) []byte {
	dst = append(dst, "id: "...)
	for i, room := range rooms {
		if i > 0 {
			dst = append(dst, ',')
		}
		if epoch, seq := position(room); isEpoch(epoch) {
			dst = append(append(dst, epoch...), '.')
			dst = strconv.AppendUint(dst, seq, 10)
		}
	}
	return append(dst, '\n')
}

// isEpoch keeps what could end the field out of it.
func isEpoch(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-') {
			return false
		}
	}
	return s != ""
}
