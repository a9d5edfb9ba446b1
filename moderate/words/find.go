package words

import (
	"unicode/utf8"

	"github.com/liveim/im/moderate/internal/fold"
)

// find appends the matches of one machine to dst, in no order. letters says whether
// symbols between letters are read as the letters that they look like; symbols tells that
// there are some, so that the other reading is worth a try.
func (m *machine) find(dst []Match, text string, words []Word, letters bool) (_ []Match, symbols bool) {
	at, last := int32(0), other
	wide := false // something to see was skipped since the last letter
	for pos := 0; pos < len(text); {
		r, size := utf8.DecodeRuneInString(text[pos:])
		begin := pos
		pos += size
		code := m.code(r)
		if code >= firstClass {
			if m.collapse && code == last {
				if wide {
					dst = m.alone(dst, words, code, place{m: m, text: text, letters: letters, begin: begin, end: pos, r: r})
				}
				wide = false
				continue
			}
			last, wide = code, false
			if at = m.step(at, code); m.states[at].out != 0 {
				dst = m.candidates(dst, words, at, place{m: m, text: text, letters: letters, begin: begin, end: pos, r: r})
			}
			continue
		}
		if code == skipped {
			wide = wide || m.collapse && !tight(m.kind(r))
			continue
		}
		if code == other {
			at, last = 0, other
			continue
		}
		parts, ok := m.seqs[r]
		if !ok {
			code = m.symbol(text, begin, pos, r)
			symbols = symbols || code != skipped
			if code == skipped || !letters {
				wide = true
				continue
			}
			parts.codes = []uint16{code}
		}
		p := place{m: m, text: text, letters: letters, begin: begin, end: pos, r: r}
		for p.k, code = range parts.codes {
			if m.collapse && code == last && code != other {
				if wide {
					dst = m.alone(dst, words, code, p)
				}
				wide = false
				continue
			}
			last, wide = code, false
			if code == other {
				at = 0
			} else if at = m.step(at, code); m.states[at].out != 0 {
				dst = m.candidates(dst, words, at, p)
			}
		}
	}
	return dst, symbols
}

// alone looks at the words of one letter alone, for one that repeats with a gap before it: it
// does not continue the row of those before, and the automaton does not see it.
func (m *machine) alone(dst []Match, words []Word, code uint16, p place) []Match {
	return m.candidates(dst, words, m.root[code], p)
}

// candidates looks at all entries that may end at a place.
func (m *machine) candidates(dst []Match, words []Word, at int32, p place) []Match {
	for at = m.states[at].out; at != 0; at = m.states[m.states[at].fail].out {
		for i := m.ending[at]; i >= 0; i = m.entries[i].next {
			e := &m.entries[i]
			w := &words[e.word]
			if start, end, ok := p.verify(m.of(e), e, w.WholeWord); ok {
				dst = append(dst, Match{start, end, w})
			}
		}
	}
	return dst
}

// symbol returns the code of the letter that a symbol stands for: @ and $ beside a letter, ! and | between two. Else it is
// skipped.
func (m *machine) symbol(text string, begin, end int, r rune) uint16 {
	u, _ := m.folds.Of(r)
	before, after := m.letterBefore(text, begin), m.letterAfter(text, end)
	if before && after || (before || after) && u.Rune() != '!' && u.Rune() != '|' {
		return m.code(fold.Coarse(u.Rune()))
	}
	return skipped
}

// symbolsInARow is how many symbols that may be letters are looked past for a letter: "a$$".
const symbolsInARow = 3

func (m *machine) letterBefore(text string, at int) bool {
	for range symbolsInARow {
		r, size := utf8.DecodeLastRuneInString(text[:at])
		if u, seq := m.folds.Of(r); size == 0 || seq != nil {
			return false
		} else if !replacing(u) {
			return latin(u)
		}
		at -= size
	}
	return false
}

func (m *machine) letterAfter(text string, at int) bool {
	for range symbolsInARow {
		r, size := utf8.DecodeRuneInString(text[at:])
		if u, seq := m.folds.Of(r); size == 0 || seq != nil {
			return false
		} else if !replacing(u) {
			return latin(u)
		}
		at += size
	}
	return false
}

// replacing tells the symbols that may stand for a letter.
func replacing(u fold.Unit) bool {
	return u.Kind() == fold.Symbol && fold.Coarse(u.Rune()) != u.Rune()
}

func latin(u fold.Unit) bool { return u.Kind() == fold.Letter && 'a' <= u.Rune() && u.Rune() <= 'z' }
