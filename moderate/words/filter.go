package words

import (
	"cmp"
	"slices"
	"strings"

	"github.com/clipperhouse/uax29/v2/graphemes"
)

// Filter finds the words of a list in messages. It is made by [Compile], does not change after, and
// is safe for concurrent use. The zero value and nil find nothing. To replace the
// list while it is in use, keep it in a [Live].
//
// The time for a message grows with its length, not with the length of the list, and a
// message without any match allocates nothing.
type Filter struct {
	words    []Word
	machines []*machine
}

// Len returns how many words the filter has.
func (f *Filter) Len() int {
	if f == nil {
		return 0
	}
	return len(f.words)
}

// Check says what to do with a message. It is what most callers want.
func (f *Filter) Check(text string) Verdict {
	var room [16]Match
	var v Verdict
	for _, m := range f.Find(room[:0], text) {
		a, best := m.Word.Action, v.Match
		if a > v.Action || a == v.Action && m.End-m.Start > best.End-best.Start {
			v = Verdict{a, m}
		}
	}
	return v
}

// Find appends all matches in the message to dst, in the order in which they begin, and
// returns the extended slice.
//
// Matches may overlap. But one that lies inside of another is left out unless it is
// more severe, and whatever lies inside of a match of an [Allow] word is left out,
// as are these words themselves.
func (f *Filter) Find(dst []Match, text string) []Match {
	if f == nil {
		return dst
	}
	before := len(dst)
	for _, m := range f.machines {
		var symbols bool
		dst, symbols = m.find(dst, text, f.words, true)
		if symbols { // each may be a letter, or stand between letters
			dst, _ = m.find(dst, text, f.words, false)
		}
	}
	if len(dst) == before {
		return dst
	}
	return dst[:before+len(settle(dst[before:]))]
}

// settle sorts the matches and drops those inside of others, as Find says.
func settle(all []Match) []Match {
	slices.SortFunc(all, func(a, b Match) int {
		return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(b.End, a.End), cmp.Compare(rank(b), rank(a)))
	})
	var reach [Block + 1]int // where the matches of each action so far end, at most
	kept := all[:0]
	for _, m := range all {
		action := m.Word.Action
		if reach[Allow] >= m.End {
			continue
		}
		inside := false
		for _, end := range reach[max(action, Mask):] {
			inside = inside || end >= m.End
		}
		reach[action] = max(reach[action], m.End)
		if !inside && action != Allow {
			kept = append(kept, m)
		}
	}
	clear(all[len(kept):])
	return kept
}

// rank is the severity, except that Allow comes before all others.
func rank(m Match) Action {
	if m.Word.Action == Allow {
		return Block + 1
	}
	return m.Word.Action
}

// Mask returns the message with a star for each character (grapheme cluster) of each
// match, whatever its action, and all else as it is. Without a match that is the text itself.
func (f *Filter) Mask(text string) string {
	var room [16]Match
	found := f.Find(room[:0], text)
	if len(found) == 0 {
		return text
	}
	var b strings.Builder
	b.Grow(len(text))
	done := 0
	for i := 0; i < len(found); {
		start, end := found[i].Start, found[i].End
		for i++; i < len(found) && found[i].Start < end; i++ {
			end = max(end, found[i].End)
		}
		b.WriteString(text[done:start])
		for g := graphemes.FromString(text[start:end]); g.Next(); {
			b.WriteByte('*')
		}
		done = end
	}
	b.WriteString(text[done:])
	return b.String()
}
