// Package fold reduces runes to what a reader takes them for: "Ｆ", "𝐟", "ḟ" and "ꬵ" are
// all f. The word filter and the text policy both compare by it.
//
// The fold of a rune is its compatibility decomposition (NFKD) without marks, in small
// letters, with the look-alikes of other scripts replaced by the Latin letter that they
// resemble (lookalikes.go). NFKD and not NFKC, so that composed and decomposed input meet
// rune by rune, without a look at what follows.
package fold

import (
	"iter"
	"sync"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// Kind says what a rune is for a reader.
type Kind uint8

// The kinds. Only letters carry meaning where a list does not say otherwise.
const (
	Letter    Kind = iota // letters, digits, ideographs, and whatever is not known
	Symbol                // punctuation and symbols, emoji included
	Space                 // white space of any width, line breaks
	Invisible             // what has no width: joiners, direction, fillers, tags
	Mark                  // what stands on or around the rune before: accents, variation selectors
)

// Unit is one rune after the fold, with its kind. A letter's unit is its rune.
type Unit uint32

func unit(k Kind, r rune) Unit { return Unit(k)<<24 | Unit(r) }

// Kind returns what the unit is.
func (u Unit) Kind() Kind { return Kind(u >> 24 & 0x7f) }

// Rune returns the rune after the fold.
func (u Unit) Rune() rune { return rune(u & 0x1fffff) }

const sequence = Unit(1) << 31 // the rest is an index into Table.seqs

// Table holds the fold of every rune. It is safe for concurrent use.
type Table struct {
	pages [(unicode.MaxRune + 1) >> 8]*[256]Unit // nil: each rune is a letter and its own fold
	seqs  [][]Unit
}

// Get returns the one table. The first call builds it, which takes some 50 ms.
func Get() *Table { return table() }

var table = sync.OnceValue(build)

// Of returns the fold of a rune: one unit, or several, as for "ﬁ" and "⑫"; then the first
// result is of no use. The caller must not change the sequence.
func (t *Table) Of(r rune) (Unit, []Unit) {
	if uint32(r) > unicode.MaxRune {
		return unit(Symbol, unicode.ReplacementChar), nil
	}
	page := t.pages[r>>8]
	if page == nil {
		return Unit(r), nil
	}
	u := page[r&0xff]
	if u&sequence != 0 {
		return 0, t.seqs[u&^sequence]
	}
	return u, nil
}

// Changed goes through the pages of 256 runes in which some rune is not its own fold.
func (t *Table) Changed() iter.Seq[rune] {
	return func(yield func(rune) bool) {
		for i, page := range t.pages {
			if page == nil {
				continue
			}
			for low := range rune(256) {
				if !yield(rune(i)<<8 | low) {
					return
				}
			}
		}
	}
}

func build() *Table {
	t := new(Table)
	alike := lookalikes()
	set := func(r rune, u Unit) {
		page := t.pages[r>>8]
		if page == nil {
			page = new([256]Unit)
			for i := range page {
				page[i] = Unit(r&^0xff) | Unit(i)
			}
			t.pages[r>>8] = page
		}
		page[r&0xff] = u
	}
	for r := range rune(unicode.MaxRune + 1) {
		switch {
		case 0x3400 <= r && r <= 0x9FFF && r>>6 != 0x4DC0>>6, 0x20000 <= r && r < 0x2F800, 0x30000 <= r && r < 0xE0000:
			continue // ideographs, each of which is its own fold, or no characters
		case r >= 0xE1000, 0xE000 <= r && r < 0xF900: // private ones
			continue
		}
		seq := foldRune(alike, r)
		switch {
		case len(seq) != 1:
			set(r, sequence|Unit(len(t.seqs)))
			t.seqs = append(t.seqs, seq)
		case seq[0] != Unit(r):
			set(r, seq[0])
		}
	}
	return t
}

// foldRune computes what the table keeps.
func foldRune(alike map[rune]string, r rune) []Unit {
	if k := kindOf(r); k == Invisible || k == Mark {
		return []Unit{unit(k, r)}
	}
	var units []Unit
	for _, d := range decompose(alike, r) {
		k := kindOf(d)
		if _, ok := alike[d]; ok {
			k = Letter // a letter in a box is a symbol by its category
		}
		switch k {
		case Letter:
			for _, l := range small(alike, d) {
				units = append(units, Unit(l))
			}
		case Space:
			units = append(units, unit(Space, ' '))
		default:
			units = append(units, unit(k, d))
		}
	}
	return dropMarks(units)
}

// decompose is NFKD, but that a look-alike is found before it falls apart.
func decompose(alike map[rune]string, r rune) string {
	s := string(r)
	if _, ok := alike[r]; ok || r == unicode.ReplacementChar || 0xD800 <= r && r <= 0xDFFF {
		return s
	}
	if p := norm.NFKD.PropertiesString(s); p.Decomposition() == nil && (r < 0xAC00 || r > 0xD7A3) {
		return s
	}
	return norm.NFKD.String(s)
}

// small returns the small Latin letter that a letter looks like, else the small letter.
func small(alike map[rune]string, r rune) string {
	if s, ok := alike[r]; ok {
		return s
	}
	// By way of the capital, so that the ſ and the ς become what s and σ are.
	lower := unicode.ToLower(unicode.ToUpper(r))
	if s, ok := alike[lower]; ok {
		return s
	}
	return string(lower)
}

// dropMarks leaves the marks out of a sequence that has anything else, so that é is one unit.
func dropMarks(units []Unit) []Unit {
	kept := units[:0:0]
	for _, u := range units {
		if k := u.Kind(); k != Mark && k != Invisible {
			kept = append(kept, u)
		}
	}
	if len(kept) == 0 {
		return units[:1]
	}
	return kept
}

func kindOf(r rune) Kind {
	switch {
	case r < 0x80 && (r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'):
		return Letter
	case unicode.IsSpace(r), unicode.Is(unicode.Z, r):
		return Space
	case mark(r):
		return Mark
	case IsInvisible(r):
		return Invisible
	case unicode.IsPunct(r), unicode.IsSymbol(r):
		return Symbol
	}
	return Letter
}

// mark tells what stands on another rune and does not make another letter of it: the vowels of
// Indic scripts and Thai do, and so do the sound marks of kana.
func mark(r rune) bool {
	switch {
	case 0x1F3FB <= r && r <= 0x1F3FF: // skin tones
		return true
	case VariationSelector(r):
		return true
	case !unicode.In(r, unicode.Mn, unicode.Me), IsInvisible(r), Continues(r):
		return false
	case unicode.Is(unicode.Me, r), unicode.Is(unicode.Inherited, r):
		return true
	}
	class := norm.NFD.PropertiesString(string(r)).CCC()
	return class != 0 && class != 9
}

// Continues tells the units that are a part of the letter before: the sound marks of kana,
// and vowels and finals of Hangul, of which the decomposition consists.
func Continues(r rune) bool {
	return r == 0x3099 || r == 0x309A || 0x1161 <= r && r <= 0x11FF
}

// VariationSelector tells what selects one of the looks of the rune before.
func VariationSelector(r rune) bool {
	return 0xFE00 <= r && r <= 0xFE0F || 0xE0100 <= r && r <= 0xE01EF || 0x180B <= r && r <= 0x180D || r == 0x180F
}

// IsInvisible tells what shows nothing and has no width, or looks like a blank and is called a letter.
func IsInvisible(r rune) bool {
	switch r {
	case 0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0:
		return true
	}
	if 0xE0000 <= r && r <= 0xE0FFF {
		return !VariationSelector(r)
	}
	return unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Cc, r) && !unicode.IsSpace(r) || 0xD800 <= r && r <= 0xDFFF
}

// Eastern tells the scripts that put no blanks between words.
func Eastern(r rune) bool {
	switch {
	case r < 0x0E00:
		return false
	case r <= 0x0EFF, 0x1000 <= r && r <= 0x11FF, 0x1780 <= r && r <= 0x17FF, // Thai, Lao, Myanmar, jamo, Khmer
		0x2E80 <= r && r <= 0xA4CF, 0xAC00 <= r && r <= 0xD7FF, 0xF900 <= r && r <= 0xFAFF, 0x1B000 <= r && r <= 0x1B16F, r >= 0x20000:
		return true
	}
	return false
}
