package words

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/liveim/im/moderate/internal/fold"
	"pgregory.net/rapid"
)

// letter is what the reference makes of a message: all letters in a row, each with its place.
type letter struct {
	u          fold.Unit
	r          rune
	begin, end int
	gap        fold.Kind // what was skipped before it
	first      bool      // of its rune
}

// readable reduces a message to its letters. classes are those of the list, symbols and replace
// say how symbols are read.
func readable(text string, symbols, replace bool, classes map[rune]bool) []letter {
	var out []letter
	var gap fold.Kind
	m := newMachine(symbols, false)
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		u, seq := m.folds.Of(r)
		if seq == nil {
			seq = []fold.Unit{u}
		}
		first := true
		for _, u := range seq {
			counts := u.Kind() == fold.Letter || symbols && u.Kind() == fold.Symbol
			if !counts && replace && len(seq) == 1 && replacing(u) && classes[fold.Coarse(u.Rune())] {
				before, after := m.letterBefore(text, i), m.letterAfter(text, i+size)
				counts = before && after || (before || after) && !strings.ContainsRune("!|", u.Rune())
			}
			if counts {
				out = append(out, letter{u, r, i, i + size, gap, first})
				gap, first = fold.Letter, false
			}
		}
		if first {
			u := seq[0]
			gap = wider(gap, u.Kind())
		}
		i += size
	}
	return out
}

// reference finds the words in a message by trying each word at each place. It says where and which.
func reference(list []Word, text string) []span {
	seen := map[span]bool{}
	classes := [2]map[rune]bool{{}, {}} // with and without Repeats
	for _, w := range list {
		forms, symbols := formsOf(w.Text)
		for _, form := range forms {
			for _, r := range form.runes {
				if !symbols {
					classes[bit(w.Repeats)][fold.Coarse(r)] = true
				}
			}
		}
	}
	for i, w := range list {
		forms, symbols := formsOf(w.Text)
		for _, form := range forms {
			for _, replace := range []bool{false, true} {
				all := readable(text, symbols, replace && !symbols, classes[bit(w.Repeats)])
				for at := range all {
					if start, end, ok := matchAt(all, at, form, &list[i], symbols, text); ok {
						seen[span{start, end, i}] = true
					}
				}
			}
		}
	}
	return sorted(seen)
}

// span is a match, with the index of its word.
type span struct{ start, end, word int }

func sorted(all map[span]bool) []span {
	return slices.SortedFunc(maps.Keys(all), func(a, b span) int {
		return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.end, b.end), cmp.Compare(a.word, b.word))
	})
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// matchAt tries one word at one letter.
func matchAt(all []letter, at int, word letters, w *Word, symbols bool, text string) (start, end int, ok bool) {
	form := word.runes
	t := tally{length: len(form)}
	i, k := at, 0
	fits := func(r rune, l letter) bool {
		fit := compare(r, l.u, l.r)
		return fit != different && !(fit == symbol && symbols) // where symbols count they are themselves
	}
	if w.Repeats && at > 0 && tight(all[at].gap) && fits(form[0], all[at-1]) && all[at-1].end <= all[at].begin {
		return 0, 0, false // it begins before
	}
	take := func(f fit, blank bool) {
		t.add(f, all[i].r)
		if !blank && i > at && all[i].begin != all[i-1].begin {
			t.gap(all[i].gap)
		}
		i++
	}
	for ; k < len(form); k++ {
		if i >= len(all) || !fits(form[k], all[i]) {
			return 0, 0, false
		}
		take(compare(form[k], all[i].u, all[i].r), word.blanks>>k&1 != 0)
		last := k == len(form)-1
		for w.Repeats && (last || form[k+1] != form[k]) && i < len(all) && fits(form[k], all[i]) && (!last || tight(all[i].gap)) {
			take(same, false)
		}
	}
	if !t.fits(w.WholeWord) {
		return 0, 0, false
	}
	edge := func(want rune, e, b letter) bool {
		er, br := e.u.Rune(), b.u.Rune()
		if unicode.IsDigit(er) {
			return unicode.IsDigit(br) && (w.WholeWord || !unicode.IsDigit(want))
		}
		return w.WholeWord && unicode.IsLetter(er) && unicode.IsLetter(br) && !fold.Eastern(er) && !fold.Eastern(br)
	}
	if at > 0 && tight(all[at].gap) && edge(form[0], all[at], all[at-1]) {
		return 0, 0, false
	}
	if i < len(all) && tight(all[i].gap) && (fold.Continues(all[i].u.Rune()) || edge(form[len(form)-1], all[i-1], all[i])) {
		return 0, 0, false
	}
	return all[at].begin, withMarks(fold.Get(), text, all[i-1].end), true
}

// raw is what the automaton finds, before settle.
func raw(f *Filter, text string) []span {
	seen := map[span]bool{}
	for _, m := range f.machines {
		for _, replace := range []bool{true, false} {
			all, _ := m.find(nil, text, f.words, replace)
			for _, match := range all {
				i := slices.IndexFunc(f.words, func(w Word) bool { return w == *match.Word })
				seen[span{match.Start, match.End, i}] = true
			}
		}
	}
	return sorted(seen)
}

// TestReference compares the automaton with the plain search.
func TestReference(t *testing.T) {
	letters := []rune("abcsil015@$!. 微信加がかｶﾞ\u3099가각ο一ﬁⓐÉ")
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Word {
			return Word{
				Text:      rapid.StringOfN(rapid.SampledFrom(letters), 1, 5, -1).Draw(t, "word"),
				Action:    Mask,
				WholeWord: rapid.Bool().Draw(t, "whole"),
			}
		}), 1, 12).Draw(t, "list")
		noise := append(slices.Clone(letters), []rune("\u200b\u0301\ufe0f|IŁ😀x9②\u1161")...)
		text := rapid.StringOfN(rapid.SampledFrom(noise), 0, 40, -1).Draw(t, "text")
		got, want := bothWays(t, list, text)
		if !slices.Equal(got, want) {
			t.Fatalf("in %q (%+q)\nof %+v\nfound %v\nwant  %v", text, text, list, got, want)
		}
	})
}

// TestReferenceRepeats does so for words whose letters may repeat. Where it is open which of them
// belong to a match, one of the ways to see it will do. The letters have no look-alikes here, of which the automaton
// takes the first.
func TestReferenceRepeats(t *testing.T) {
	letters := []rune("abcdu微信加")
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Word {
			return Word{
				Text:      rapid.StringOfN(rapid.SampledFrom(letters), 1, 5, -1).Draw(t, "word"),
				Action:    Mask,
				WholeWord: rapid.Bool().Draw(t, "whole"),
				Repeats:   rapid.Bool().Draw(t, "repeats"),
			}
		}), 1, 12).Draw(t, "list")
		text := rapid.StringOfN(rapid.SampledFrom(append(letters, '.', ' ', '\u200b', 'É', 'z')), 0, 40, -1).Draw(t, "text")
		got, want := bothWays(t, list, text)
		for _, s := range got {
			if !slices.Contains(want, s) {
				t.Fatalf("in %q (%+q)\nof %+v\nfound %v, which is none of %v", text, text, list, s, want)
			}
		}
		for _, s := range want {
			if !slices.ContainsFunc(got, func(g span) bool { return g.word == s.word && g.start < s.end && s.start < g.end }) {
				t.Fatalf("in %q (%+q)\nof %+v\nfound %v, and not %v", text, text, list, got, s)
			}
		}
	})
}

// bothWays searches with the automaton and without, for those of the words that differ.
func bothWays(t *rapid.T, list []Word, text string) (got, want []span) {
	unique := list[:0:0]
	for _, w := range list {
		forms, _ := formsOf(w.Text)
		if w.validate(forms[0]) != nil {
			continue
		}
		if !slices.ContainsFunc(unique, func(u Word) bool {
			other, _ := formsOf(u.Text)
			return u.WholeWord == w.WholeWord && u.Repeats == w.Repeats && slices.Equal(other[0].runes, forms[0].runes)
		}) {
			unique = append(unique, w)
		}
	}
	f, err := Compile(unique)
	if err != nil {
		t.Fatal(err)
	}
	return raw(f, text), reference(unique, text)
}
