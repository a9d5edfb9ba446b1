package danmaku

import (
	"hash/maphash"
	"unicode"
	"unicode/utf8"
)

// Key returns a hash of what a text says, so that texts which a viewer would
// take for the same have the same key: full-width forms count as the narrow ones,
// capitals as small letters, a character or digit that is repeated as one that
// stands twice, all white space as one blank; the punctuation at the end and
// what has no width do not count. A text that says nothing has the key 0, which is
// never equal to another. Keys are of use only with the seed that they were made with.
func Key(seed maphash.Seed, text string) uint64 {
	k := keyer{}
	k.hash.SetSeed(seed)
	text = trim(text)
	for i := 0; i < len(text); {
		r, size := rune(text[i]), 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRuneInString(text[i:])
		}
		switch r = fold(r); {
		case '0' <= r && r <= '9':
			end, repeats := number(text, i)
			k.number(text[i:end], repeats)
			size = end - i
		case eastern(r):
			k.add(r)
		case invisible(r):
		case unicode.IsSpace(r):
			k.blank = true
		default:
			k.add(r)
		}
		i += size
	}
	if k.last == 0 {
		return 0
	}
	_, _ = k.hash.Write(k.buf[:k.n])
	return max(k.hash.Sum64(), 1)
}

// keyer takes the runes of a text in turn and leaves out what repeats.
type keyer struct {
	hash  maphash.Hash
	buf   [64]byte // of what the hash has not got yet
	n     int
	last  rune // the last one taken; 0: none
	times int  // that it came in a row
	blank bool // white space came after it
}

func (k *keyer) add(r rune) {
	if k.blank && k.last != 0 {
		k.blank = false
		k.put(' ')
		k.times = 0
	}
	k.blank = false
	if r != k.last {
		k.last, k.times = r, 0
	}
	if k.times++; k.times <= 2 {
		k.put(r)
	}
}

// number takes a row of digits: as it is, since 1000 is not 100, unless it is one
// digit over and over, which is a cheer.
func (k *keyer) number(digits string, repeats bool) {
	for i := 0; i < len(digits); {
		r, size := utf8.DecodeRuneInString(digits[i:])
		i += size
		if r = fold(r); invisible(r) {
			continue
		}
		if !repeats {
			k.times = 0
		}
		k.add(r)
	}
	k.times = 0
}

func (k *keyer) put(r rune) {
	if k.n+utf8.UTFMax > len(k.buf) {
		_, _ = k.hash.Write(k.buf[:k.n])
		k.n = 0
	}
	if r < utf8.RuneSelf {
		k.buf[k.n] = byte(r)
		k.n++
		return
	}
	k.n += utf8.EncodeRune(k.buf[k.n:], r)
}

// number returns where the row of digits that begins at i ends, i if there is
// none, and whether all of them are the same.
func number(text string, i int) (end int, repeats bool) {
	var first rune
	repeats = true
	for end = i; end < len(text); {
		r, size := rune(text[end]), 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRuneInString(text[end:])
			r = fold(r)
		}
		if first != 0 && invisible(r) {
			end += size
			continue
		}
		if r < '0' || r > '9' {
			break
		}
		if first == 0 {
			first = r
		}
		repeats = repeats && r == first
		end += size
	}
	return end, repeats
}

// trim cuts white space and the punctuation that ends a sentence off the end, unless there is nothing
// else: "???" says something.
func trim(text string) string {
	for end := len(text); end > 0; {
		r, size := utf8.DecodeLastRuneInString(text[:end])
		r = fold(r)
		if !closing(r) && !unicode.IsSpace(r) && !invisible(r) {
			return text[:end]
		}
		end -= size
	}
	return text
}

// fold makes a rune narrow and small.
func fold(r rune) rune {
	switch {
	case 'A' <= r && r <= 'Z':
		return r + 'a' - 'A'
	case r < utf8.RuneSelf:
		return r
	case eastern(r):
		return r
	case r == 0x3000: // the wide blank
		return ' '
	case 0x0410 <= r && r <= 0x042F: // most of Cyrillic, since the table is slow
		return r + 0x20
	case 0x0430 <= r && r <= 0x044F:
		return r
	case 0xFF01 <= r && r <= 0xFF5E: // full-width ASCII
		return fold(r - 0xFF01 + '!')
	}
	return unicode.ToLower(r)
}

// eastern tells the scripts of East Asia, which have no capitals.
func eastern(r rune) bool { return 0x3001 <= r && r <= 0xD7FF }

// closing tells the punctuation that ends a sentence, after fold.
func closing(r rune) bool {
	switch r {
	case '.', ',', '!', '?', ';', ':', '~', '…', '‥', '·', '。', '、', '｡', '､', '〜', '¿', '¡':
		return true
	}
	return false
}

// invisible tells what has no width: joiners, marks of direction, variation selectors.
func invisible(r rune) bool {
	switch {
	case r < 0xAD:
		return r < ' ' && !unicode.IsSpace(r) || r == 0x7F
	case r == 0xAD, 0x200B <= r && r <= 0x200F, 0x202A <= r && r <= 0x202E, 0x2060 <= r && r <= 0x2069, 0xFE00 <= r && r <= 0xFE0F, r == 0xFEFF:
		return true
	}
	return false
}
