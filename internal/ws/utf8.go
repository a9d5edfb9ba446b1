package ws

import "unicode/utf8"

// utf8State validates UTF-8 that comes in pieces. It rejects a sequence at the
// first byte that cannot continue it: overlong forms, surrogates and values
// above U+10FFFF fail on their second byte. The zero value is at a rune
// boundary.
type utf8State struct {
	need   uint8 // continuation bytes still to come
	lo, hi uint8 // range of the next continuation byte
}

// feed reports whether everything fed so far can be the start of valid UTF-8.
func (s *utf8State) feed(b []byte) bool {
	for s.need > 0 && len(b) > 0 {
		if !s.step(b[0]) {
			return false
		}
		b = b[1:]
	}
	cut := incompleteTail(b)
	if !utf8.Valid(b[:cut]) {
		return false
	}
	for _, c := range b[cut:] {
		if !s.step(c) {
			return false
		}
	}
	return true
}

// complete reports whether the text may end here.
func (s *utf8State) complete() bool { return s.need == 0 }

func (s *utf8State) step(c byte) bool {
	if s.need > 0 {
		if c < s.lo || c > s.hi {
			return false
		}
		s.need, s.lo, s.hi = s.need-1, 0x80, 0xBF
		return true
	}
	s.lo, s.hi = 0x80, 0xBF
	switch {
	case c < 0x80:
		return true
	case c < 0xC2 || c > 0xF4:
		return false
	case c < 0xE0:
		s.need = 1
	case c < 0xF0:
		s.need = 2
	default:
		s.need = 3
	}
	switch c {
	case 0xE0: // below is overlong
		s.lo = 0xA0
	case 0xED: // above are surrogates
		s.hi = 0x9F
	case 0xF0: // below is overlong
		s.lo = 0x90
	case 0xF4: // above is past U+10FFFF
		s.hi = 0x8F
	}
	return true
}

// incompleteTail returns the index at which a sequence starts that b may have
// cut off, or len(b).
func incompleteTail(b []byte) int {
	for i := len(b) - 1; i >= 0 && i >= len(b)-utf8.UTFMax+1; i-- {
		if utf8.RuneStart(b[i]) {
			if utf8.FullRune(b[i:]) {
				break
			}
			return i
		}
	}
	return len(b)
}
