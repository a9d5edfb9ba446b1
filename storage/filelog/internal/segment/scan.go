package segment

import "io"

// scanner finds the frames of a file, one after the other, whatever lies between them.
type scanner struct {
	w    *window
	salt uint64
	at   int64 // where to look next
	next int64 // the lowest number that the next frame may have
}

// found is a frame.
type found struct {
	frameHeader
	offset  int64
	payload []byte // good until the next frame
	good    bool   // the payload is what was written
	skipped int64  // how many bytes before it belong to no frame
}

func (f *found) end() int64 { return f.offset + frameHead + int64(f.length) }

// frame returns the next one, or io.EOF.
func (s *scanner) frame() (found, error) {
	from := s.at
	for s.at+frameHead <= s.w.size {
		f, ok := s.try()
		if !ok {
			s.seek()
			continue
		}
		f.skipped = f.offset - from
		s.at, s.next = f.end(), int64(f.number)+1
		return f, nil
	}
	return found{}, io.EOF
}

// try reads the frame that begins here, if one does. One that is longer than the file, its end torn off, is none.
func (s *scanner) try() (found, bool) {
	h, ok := parseFrame(s.w.upTo(s.at, frameHead))
	f := found{frameHeader: h, offset: s.at}
	if !ok || h.salt != s.salt || int64(h.number) < s.next || h.length > maxPayload || f.end() > s.w.size {
		return f, false
	}
	f.payload = s.w.upTo(s.at, frameHead+int(h.length))[frameHead:]
	f.good = checksum(f.payload) == h.sum
	return f, true
}

// seek goes on to the next place where a frame could begin.
func (s *scanner) seek() {
	for s.at++; s.at < s.w.size; {
		b := s.w.ahead(s.at)
		if i := indexMagic(b); i >= 0 {
			s.at += int64(i)
			return
		}
		s.at += int64(max(1, len(b)-len(frameMagic)+1)) // the end may be the start of the magic
	}
}

// guessSalt finds the salt of a file whose header is lost: that of the first frame, where no text of anybody can lie, or
// if that is lost too, that of most bytes of good frames.
func guessSalt(w *window) (salt uint64, ok bool) {
	bytes := map[uint64]int64{}
	s := scanner{w: w, at: framesBegin}
	for s.at+frameHead <= w.size {
		h, parsed := parseFrame(w.upTo(s.at, frameHead))
		s.salt, s.next = h.salt, 0
		f, tried := s.try()
		if !parsed || !tried || !f.good {
			s.seek()
			continue
		}
		if f.offset == framesBegin {
			return f.salt, true
		}
		bytes[f.salt] += int64(f.length) + 1
		if bytes[f.salt] > bytes[salt] || !ok {
			salt, ok = f.salt, true
		}
		s.at = f.end()
	}
	return salt, ok
}
