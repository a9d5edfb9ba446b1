package words

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/liveim/im/moderate/internal/fold"
)

// Compile makes a filter of a list. The list is copied. Of entries that are found in the same places the most
// severe one counts, or the first of these. An error names the entry that is at fault.
//
// 100,000 words take less than a second and some 20 MB.
func Compile(list []Word) (*Filter, error) {
	f := &Filter{words: slices.Clone(list)}
	var drafts [4]draft
	for i := range f.words {
		w := &f.words[i]
		forms, symbols := formsOf(w.Text)
		if err := w.validate(forms[0]); err != nil {
			return nil, fmt.Errorf("word %d, %q: %w", i, w.Text, err)
		}
		for _, form := range forms {
			which := 0
			if symbols {
				which |= 1
			}
			if w.Repeats {
				which |= 2
			}
			drafts[which].add(form, i)
		}
	}
	for which := range drafts {
		if len(drafts[which].entries) == 0 {
			continue
		}
		m := newMachine(which&1 != 0, which&2 != 0)
		if err := m.build(&drafts[which], f.words); err != nil {
			return nil, err
		}
		f.machines = append(f.machines, m)
	}
	return f, nil
}

// validate checks an entry. form is the first of its forms.
func (w *Word) validate(form letters) error {
	if w.Action < Allow || w.Action > Block {
		return fmt.Errorf("its action is %v; set allow, mask, hold or block", w.Action)
	}
	switch n := len(form.runes); {
	case n == 0:
		return fmt.Errorf("it has no letter, digit or symbol, so it would be found nowhere; take it off the list")
	case n > MaxLength:
		return fmt.Errorf("it has %d letters, more than %d; a part of it will do", n, MaxLength)
	case fold.Continues(form.runes[0]):
		return fmt.Errorf("it begins in the middle of a syllable; list whole ones")
	}
	return nil
}

// formsOf returns the letters of a word, in as many forms as there are: for a few Greek and
// Cyrillic letters the capital looks like one Latin letter and the small one like another.
// symbols tells that the word has some, which then count as well.
func formsOf(text string) (forms []letters, symbols bool) {
	first, symbols := lettersOf(text, true)
	forms = append(forms, first)
	if isLatin(text) {
		return forms, symbols
	}
	lower := strings.ToLower(text)
	_, size := utf8.DecodeRuneInString(lower)
	for _, other := range []string{lower, strings.ToUpper(text), strings.ToUpper(lower[:size]) + lower[size:]} {
		chars, _ := lettersOf(other, symbols)
		if !slices.ContainsFunc(forms, func(form letters) bool { return slices.Equal(form.runes, chars.runes) }) {
			forms = append(forms, chars)
		}
	}
	return forms, symbols
}

// isLatin tells that a word has no letter whose cases might part.
func isLatin(text string) bool {
	for _, r := range text {
		if 0x0370 <= r && r < 0x0600 || 0x13A0 <= r && r < 0x1400 || 0x1F00 <= r && r < 0x2000 {
			return false
		}
	}
	return true
}

// letters are what is compared of a word.
type letters struct {
	runes  []rune
	blanks uint64 // bit i: the word has a blank before the i-th
}

// lettersOf returns what is compared, with symbols or without; any tells whether there are symbols.
func lettersOf(text string, symbols bool) (l letters, any bool) {
	table := fold.Get()
	l.runes = make([]rune, 0, len(text))
	for _, r := range text {
		u, seq := table.Of(r)
		if seq == nil {
			seq = []fold.Unit{u}
		}
		for _, u := range seq {
			any = any || u.Kind() == fold.Symbol
			switch {
			case u.Kind() == fold.Letter || symbols && u.Kind() == fold.Symbol:
				l.runes = append(l.runes, u.Rune())
			case u.Kind() == fold.Space && len(l.runes) < MaxLength:
				l.blanks |= 1 << len(l.runes)
			}
		}
	}
	return l, any
}

// draft is what a machine is made of.
type draft struct {
	entries []entry
	chars   []rune
}

// entry is one form of a word.
type entry struct {
	word   int32 // index into Filter.words
	offset int32 // of its letters in draft.chars
	length int32
	blanks uint64
	tail   int32 // how many letters at its end are of one class
	next   int32 // another entry with the same classes; -1: none
}

func (d *draft) add(form letters, word int) {
	d.entries = append(d.entries, entry{
		word:   int32(word),
		offset: int32(len(d.chars)),
		length: int32(len(form.runes)),
		blanks: form.blanks,
		next:   -1,
	})
	d.chars = append(d.chars, form.runes...)
}

func (d *draft) of(e *entry) []rune { return d.chars[e.offset : e.offset+e.length] }
