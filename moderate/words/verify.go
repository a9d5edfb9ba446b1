package words

import (
	"unicode"
	"unicode/utf8"

	"github.com/liveim/im/moderate/internal/fold"
)

// place is one letter of a message: the k-th of those that the rune in text[begin:end] stands for.
type place struct {
	m          *machine
	text       string
	letters    bool // symbols may be letters
	begin, end int
	r          rune
	k          int
}

// unit returns the letter. It is a symbol where a symbol stands for one.
func (p *place) unit() fold.Unit {
	u, seq := p.m.folds.Of(p.r)
	if seq == nil {
		return u
	}
	return p.parts()[p.k]
}

// parts are the letters of a rune that stands for several.
func (p *place) parts() []fold.Unit {
	if parts, ok := p.m.seqs[p.r]; ok {
		return parts.units
	}
	// A sequence of no letter of the list.
	_, seq := p.m.folds.Of(p.r)
	return seq
}

// count is how many letters the rune stands for.
func (p *place) count() int {
	if _, seq := p.m.folds.Of(p.r); seq == nil {
		return 1
	}
	return len(p.parts())
}

// counts tells whether the rune is read at all.
func (p *place) counts() bool {
	switch p.m.code(p.r) {
	case skipped:
		return false
	case special:
		if _, ok := p.m.seqs[p.r]; !ok {
			return p.letters && p.m.symbol(p.text, p.begin, p.end, p.r) != skipped
		}
	}
	return true
}

// back goes to the letter before. gap is the most that was skipped, fold.Letter if nothing was.
func (p *place) back() (gap fold.Kind, ok bool) {
	if p.k > 0 {
		p.k--
		return fold.Letter, true
	}
	for p.begin > 0 {
		r, size := utf8.DecodeLastRuneInString(p.text[:p.begin])
		p.r, p.begin, p.end = r, p.begin-size, p.begin
		if p.counts() {
			p.k = p.count() - 1
			return gap, true
		}
		gap = wider(gap, p.m.kind(p.r))
	}
	return gap, false
}

// next goes to the letter behind, as back does.
func (p *place) next() (gap fold.Kind, ok bool) {
	if p.k < p.count()-1 {
		p.k++
		return fold.Letter, true
	}
	for p.end < len(p.text) {
		r, size := utf8.DecodeRuneInString(p.text[p.end:])
		p.r, p.begin, p.end = r, p.end, p.end+size
		if p.counts() {
			p.k = 0
			return gap, true
		}
		gap = wider(gap, p.m.kind(p.r))
	}
	return gap, false
}

// kind is that of a skipped rune.
func (m *machine) kind(r rune) fold.Kind {
	u, seq := m.folds.Of(r)
	if seq != nil {
		u = seq[0]
	}
	return u.Kind()
}

// wider is the gap that a reader sees of two: a blank before a symbol before what has no width.
func wider(a, b fold.Kind) fold.Kind {
	order := [...]int{fold.Letter: 0, fold.Invisible: 1, fold.Mark: 1, fold.Symbol: 2, fold.Space: 3}
	if order[b] > order[a] {
		return b
	}
	return a
}

// tight tells the gaps that nobody sees.
func tight(gap fold.Kind) bool { return gap != fold.Symbol && gap != fold.Space }

// verify decides whether the word is in the text with its end at the place, and where the
// match begins and ends.
func (p place) verify(word []rune, e *entry, whole bool) (start, end int, ok bool) {
	last := p
	if p.m.collapse && !last.forward(int(e.tail), word[len(word)-1]) {
		return 0, 0, false
	}
	first := last
	t := tally{length: len(word)}
	i := len(word) - 1
	for {
		u := first.unit()
		blank := false // the word has one here itself
		if fit := compare(word[i], u, first.r); fit != different {
			t.add(fit, first.r)
			blank = e.blanks>>i&1 != 0
			i--
		} else if i == len(word)-1 || !p.m.collapse || compare(word[i+1], u, first.r) == different {
			return 0, 0, false
		}
		if i < 0 {
			break
		}
		before := first.begin
		gap, more := first.back()
		if !more {
			return 0, 0, false
		}
		if first.begin != before && !blank {
			t.gap(gap)
		}
	}
	if p.m.collapse {
		first.backward(word[0])
	}
	if !t.fits(whole) || !borders(first, last, word, whole) {
		return 0, 0, false
	}
	return first.begin, withMarks(p.m.folds, p.text, last.end), true
}

// forward goes on to the end of a row of letters of one class. The first want many
// may have anything skipped between them; the others must follow at once and be the letter.
func (p *place) forward(want int, letter rune) bool {
	class := p.m.class(p.unit().Rune())
	for have := 1; ; have++ {
		next := *p
		gap, ok := next.next()
		if !ok || p.m.class(next.unit().Rune()) != class {
			return have >= want
		}
		if have >= want && (!tight(gap) || compare(letter, next.unit(), next.r) == different) {
			return true
		}
		*p = next
	}
}

// backward goes to the begin of a row of the same letter that follow at once.
func (p *place) backward(letter rune) {
	for {
		before := *p
		if gap, ok := before.back(); !ok || !tight(gap) || compare(letter, before.unit(), before.r) == different {
			return
		}
		*p = before
	}
}

// fit is how well a letter of the text is one of a word.
type fit int

const (
	different fit = iota
	same
	symbol  // for a letter
	alike   // a digit for a letter, or a letter for a digit
	capital // an I for an l
)

func compare(want rune, got fold.Unit, r rune) fit {
	g := got.Rune()
	switch {
	case want == g:
		return same
	case fold.Coarse(want) != fold.Coarse(g):
		return different
	case got.Kind() == fold.Symbol && unicode.IsLetter(want):
		return symbol
	case unicode.IsLetter(want) && unicode.IsDigit(g), unicode.IsDigit(want) && unicode.IsLetter(g):
		return alike
	case want == 'l' && g == 'i' && unicode.IsUpper(r):
		return capital
	}
	return different
}

// tally counts what is unusual about a match.
type tally struct {
	length, replaced int
	capitals, small  bool
	gaps, blanks     int
}

func (t *tally) add(f fit, r rune) {
	if f == alike || f == capital {
		t.replaced++
	}
	t.capitals = t.capitals || f == capital
	t.small = t.small || 'a' <= r && r <= 'z'
}

func (t *tally) gap(k fold.Kind) {
	t.gaps++
	if k == fold.Space {
		t.blanks++
	}
}

func (t *tally) fits(whole bool) bool {
	switch {
	case 2*t.replaced > t.length:
		return false
	case t.capitals && !t.small: // in "FAIL" the I is none but itself
		return false
	}
	return !whole || t.blanks == 0 || t.blanks == t.gaps
}

// borders decides whether a match may begin and end where it does: not within a syllable, nor with
// a digit for a letter within a number, nor within a word if it is to be a whole one.
func borders(first, last place, word []rune, whole bool) bool {
	behind := last
	if gap, ok := behind.next(); ok && tight(gap) {
		if fold.Continues(behind.unit().Rune()) || joined(word[len(word)-1], last, behind, whole) {
			return false
		}
	}
	before := first
	if gap, ok := before.back(); ok && tight(gap) && joined(word[0], first, before, whole) {
		return false
	}
	return true
}

// joined tells whether the letter at the edge of a match, which stands for want, belongs with the one beside it.
func joined(want rune, edge, beside place, whole bool) bool {
	e, b := edge.unit().Rune(), beside.unit().Rune()
	if unicode.IsDigit(e) {
		return unicode.IsDigit(b) && (whole || !unicode.IsDigit(want))
	}
	return whole && unicode.IsLetter(e) && unicode.IsLetter(b) && !fold.Eastern(e) && !fold.Eastern(b)
}

// withMarks returns where the marks on a letter end.
func withMarks(folds *fold.Table, text string, end int) int {
	for end < len(text) {
		r, size := utf8.DecodeRuneInString(text[end:])
		if u, seq := folds.Of(r); seq != nil || u.Kind() != fold.Mark {
			break
		}
		end += size
	}
	return end
}
