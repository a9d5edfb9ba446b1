package longpoll

import (
	"net/http"
	"strconv"
	"sync"
)

// setHeader sets what all answers have in common, and returns room for the value of one
// field more. The values lie in one piece of memory.
func setHeader(h http.Header) (more []string) {
	values := []string{"application/json", "no-store", "nosniff", ""}
	h["Content-Type"] = values[0:1:1]
	h["Cache-Control"] = values[1:2:2]
	h["X-Content-Type-Options"] = values[2:3:3]
	return values[3:]
}

// sheetSize is how much of an answer is written at once. The server of net/http passes
// that on without another copy, over HTTP/2 in one frame.
const sheetSize = 16 << 10

// sheet is memory for a part of an answer, so that a few small messages and the brackets around
// them are one write.
type sheet struct {
	w http.ResponseWriter
	n int
	b [sheetSize]byte
}

var sheets = sync.Pool{New: func() any { return new(sheet) }}

// write writes elements of size bytes as an array.
func write(w http.ResponseWriter, pieces [][]byte, size int) error {
	length := max(size, len(`[]`)) // the brackets are as long as the last element's end
	h := w.Header()
	more := setHeader(h)
	more[0] = strconv.Itoa(length)
	h["Content-Length"] = more
	s := sheets.Get().(*sheet)
	s.w, s.n = w, 1
	s.b[0] = '['
	err := s.fill(pieces, length)
	if err == nil { // else the server may still read from it: a frame of HTTP/2 outlives its stream
		s.w = nil
		sheets.Put(s)
	}
	return err
}

// fill writes what follows the first bracket.
func (s *sheet) fill(pieces [][]byte, length int) error {
	left := length - len(`[]`)
	for _, b := range pieces {
		b = b[:min(left, len(b))]
		left -= len(b)
		for len(b) > 0 {
			n := copy(s.b[s.n:], b)
			b = b[n:]
			if s.n += n; s.n == sheetSize {
				if err := s.flush(); err != nil {
					return err
				}
			}
		}
	}
	s.b[s.n] = ']'
	s.n++
	return s.flush()
}

func (s *sheet) flush() error {
	_, err := s.w.Write(s.b[:s.n])
	s.n = 0
	return err
}
