package danmaku

import (
	"unicode"
	"unicode/utf8"
)

// pictographs are the characters that begin an emoji: Extended_Pictographic of
// Unicode 15.1, which keeps room for those to come, without the letters and
// digits. Package unicode has no such table, and its symbols (So) would let
// pictures through that are drawn with boxes and dots.
var pictographs = &unicode.RangeTable{
	R16: []unicode.Range16{
		{0x2194, 0x2199, 1}, {0x21A9, 0x21AA, 1}, {0x231A, 0x231B, 1}, {0x2328, 0x2328, 1}, {0x2388, 0x2388, 1},
		{0x23CF, 0x23CF, 1}, {0x23E9, 0x23F3, 1}, {0x23F8, 0x23FA, 1}, {0x24C2, 0x24C2, 1}, {0x25AA, 0x25AB, 1},
		{0x25B6, 0x25B6, 1}, {0x25C0, 0x25C0, 1}, {0x25FB, 0x25FE, 1}, {0x2600, 0x2605, 1}, {0x2607, 0x2612, 1},
		{0x2614, 0x2685, 1}, {0x2690, 0x2705, 1}, {0x2708, 0x2712, 1}, {0x2714, 0x2714, 1}, {0x2716, 0x2716, 1},
		{0x271D, 0x271D, 1}, {0x2721, 0x2721, 1}, {0x2728, 0x2728, 1}, {0x2733, 0x2734, 1}, {0x2744, 0x2744, 1},
		{0x2747, 0x2747, 1}, {0x274C, 0x274C, 1}, {0x274E, 0x274E, 1}, {0x2753, 0x2755, 1}, {0x2757, 0x2757, 1},
		{0x2763, 0x2767, 1}, {0x2795, 0x2797, 1}, {0x27A1, 0x27A1, 1}, {0x27B0, 0x27B0, 1}, {0x27BF, 0x27BF, 1},
		{0x2934, 0x2935, 1}, {0x2B05, 0x2B07, 1}, {0x2B1B, 0x2B1C, 1}, {0x2B50, 0x2B50, 1}, {0x2B55, 0x2B55, 1},
		{0x3030, 0x3030, 1}, {0x303D, 0x303D, 1}, {0x3297, 0x3297, 1}, {0x3299, 0x3299, 1},
	},
	R32: []unicode.Range32{
		{0x1F000, 0x1F0FF, 1}, {0x1F10D, 0x1F10F, 1}, {0x1F12F, 0x1F12F, 1}, {0x1F16C, 0x1F171, 1}, {0x1F17E, 0x1F17F, 1},
		{0x1F18E, 0x1F18E, 1}, {0x1F191, 0x1F19A, 1}, {0x1F201, 0x1F20F, 1}, {0x1F21A, 0x1F21A, 1}, {0x1F22F, 0x1F22F, 1},
		{0x1F232, 0x1F23A, 1}, {0x1F23C, 0x1F23F, 1}, {0x1F249, 0x1F53D, 1}, {0x1F546, 0x1F64F, 1}, {0x1F680, 0x1F6FF, 1},
		{0x1F774, 0x1F77F, 1}, {0x1F7D5, 0x1F7FF, 1}, {0x1F90C, 0x1F93A, 1}, {0x1F93C, 0x1F945, 1}, {0x1F947, 0x1FAFF, 1},
		{0x1FC00, 0x1FFFD, 1},
	},
}

const (
	joiner    = 0x200D
	asPicture = 0xFE0F // shows what stands before it as a picture
	keycap    = 0x20E3
)

// EmojiOnly reports whether a text has emoji and white space, at least one
// emoji, and nothing else. Flags, families, keycaps and shades of skin are emoji; a digit
// without its keycap, or half a flag, is not.
func EmojiOnly(text string) bool {
	found := false
	for i := 0; i < len(text); {
		if r, size := utf8.DecodeRuneInString(text[i:]); unicode.IsSpace(r) {
			i += size
			continue
		}
		n := emoji(text[i:])
		if n == 0 {
			return false
		}
		found = true
		i += n
	}
	return found
}

// emoji returns how many bytes the emoji has with which the text begins, 0 if
// it begins with something else.
func emoji(text string) int {
	s := scanner{text: text}
	r := s.next()
	switch {
	case regional(r):
		if !regional(s.next()) {
			return 0
		}
		return s.at
	case '0' <= r && r <= '9', r == '#', r == '*':
		s.skip(is(asPicture))
		if s.next() != keycap {
			return 0
		}
		return s.at
	case r == '©', r == '®', r == '‼', r == '⁉', r == '™', r == 'ℹ': // text, unless it says otherwise
		if s.next() != asPicture {
			return 0
		}
		return s.at
	case !unicode.Is(pictographs, r):
		return 0
	}
	for {
		s.dress(r)
		if !s.skip(is(joiner)) {
			return s.at
		}
		if r = s.next(); !unicode.Is(pictographs, r) {
			return 0
		}
	}
}

// scanner reads a text rune by rune.
type scanner struct {
	text string
	at   int
}

// next returns the next rune, 0 at the end.
func (s *scanner) next() rune {
	if s.at == len(s.text) {
		return 0
	}
	r, size := utf8.DecodeRuneInString(s.text[s.at:])
	s.at += size
	return r
}

// skip takes the next rune if it is such a one.
func (s *scanner) skip(such func(rune) bool) bool {
	at := s.at
	if such(s.next()) {
		return true
	}
	s.at = at
	return false
}

// dress takes what may follow a pictograph r: that it is a picture, a shade of
// skin, and after a black flag the name of a region.
func (s *scanner) dress(r rune) {
	const blackFlag, lastTag = 0x1F3F4, 0xE007F
	s.skip(is(asPicture))
	s.skip(shade)
	if r != blackFlag {
		return
	}
	at := s.at
	for s.skip(tag) {
	}
	if s.at > at && !s.skip(is(lastTag)) {
		s.at = at // it is no name: the tags are refused by themselves
	}
}

func is(want rune) func(rune) bool { return func(r rune) bool { return r == want } }

func regional(r rune) bool { return 0x1F1E6 <= r && r <= 0x1F1FF }
func shade(r rune) bool    { return 0x1F3FB <= r && r <= 0x1F3FF }
func tag(r rune) bool      { return 0xE0020 <= r && r <= 0xE007E }
