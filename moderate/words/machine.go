package words

import (
	"fmt"
	"math/bits"
	"slices"
	"unicode/utf8"

	"github.com/liveim/im/moderate/internal/fold"
)

// machine is an Aho–Corasick automaton over the classes of letters (fold.Coarse). What it finds are candidates: whether
// a digit stands for a letter, a word for itself and so on, is for verify to decide.
//
// Its states are numbered by breadth, so that the children of one stand in a row, in the
// order of their labels. That is 28 bytes a state, and most states have at most one child.
type machine struct {
	draft
	symbols  bool // count as letters
	collapse bool // letters of one class in a row are read as one

	folds *fold.Table
	ascii [utf8.RuneSelf]uint16
	pages []*[256]uint16 // rune>>8, to its code; nil: other
	seqs  map[rune]run   // of the runes that stand for several letters

	root   []int32 // code to state, 0: none
	states []state
	ending []int32 // the first entry that ends in each state; -1: none
}

// state of the automaton; 0 is the root.
type state struct {
	mask  uint64 // bit i: a child has a code of which the low 6 bits are i
	kids  int32  // the first child
	fail  int32  // the state of the longest suffix
	out   int32  // the nearest of the state and its suffixes in which an entry ends; 0: none
	n     uint16 // how many children
	label uint16 // what leads into the state: the code, turned by spread
}

// run is what a rune that stands for several letters consists of.
type run struct {
	codes []uint16
	units []fold.Unit
}

// The codes of runes that are no class of letters.
const (
	other   uint16 = iota // occurs in no word: the automaton starts anew
	skipped               // does not count
	special               // a sequence, or a symbol that may stand for a letter
	firstClass
)

func newMachine(symbols, collapse bool) *machine {
	return &machine{symbols: symbols, collapse: collapse, folds: fold.Get(), seqs: map[rune]run{}}
}

// counts tells the units that the machine reads.
func (m *machine) counts(u fold.Unit) bool {
	return u.Kind() == fold.Letter || m.symbols && u.Kind() == fold.Symbol
}

// class is the rune that stands for all that the automaton takes for the same.
func (m *machine) class(r rune) rune {
	if m.symbols && (r == '@' || r == '$' || r == '!' || r == '|' || r == '€') {
		return r
	}
	return fold.Coarse(r)
}

// code returns how the automaton reads a rune.
func (m *machine) code(r rune) uint16 {
	if r < utf8.RuneSelf {
		return m.ascii[r]
	}
	if i := int(r >> 8); i < len(m.pages) && m.pages[i] != nil {
		return m.pages[i][r&0xff]
	}
	return other
}

func (m *machine) setCode(r rune, code uint16) {
	if r < utf8.RuneSelf {
		m.ascii[r] = code
		return
	}
	i := int(r >> 8)
	if i >= len(m.pages) {
		m.pages = append(m.pages, make([]*[256]uint16, i+1-len(m.pages))...)
	}
	if m.pages[i] == nil {
		m.pages[i] = new([256]uint16)
	}
	m.pages[i][r&0xff] = code
}

// step is the transition of the automaton.
func (m *machine) step(at int32, code uint16) int32 {
	for at != 0 {
		s := &m.states[at]
		if kid := m.child(s, code); kid != 0 {
			return kid
		}
		at = s.fail
	}
	return m.root[code]
}

// child looks for the child of a code. Most of the time there is none, which the mask tells. If
// no two children share a bit of it, it tells as well which one to look at.
func (m *machine) child(s *state, code uint16) int32 {
	bit := uint64(1) << (code & 63)
	if s.mask&bit == 0 {
		return 0
	}
	label := spread(code)
	if bits.OnesCount64(s.mask) == int(s.n) {
		if at := s.kids + int32(bits.OnesCount64(s.mask&(bit-1))); m.states[at].label == label {
			return at
		}
		return 0
	}
	lo, hi := s.kids, s.kids+int32(s.n)
	for hi-lo > 1 {
		if mid := (lo + hi) >> 1; m.states[mid].label <= label {
			lo = mid
		} else {
			hi = mid
		}
	}
	if m.states[lo].label == label {
		return lo
	}
	return 0
}

// spread turns the low bits of a code to the top, so that children in the order of their labels are in the order of
// the bits in the mask.
func spread(code uint16) uint16 { return bits.RotateLeft16(code, 10) }

// codeOfLabel undoes spread.
func codeOfLabel(label uint16) uint16 { return bits.RotateLeft16(label, -10) }

// build makes the tables. words tells which entry counts where several are the same.
func (m *machine) build(d *draft, words []Word) error {
	m.draft = *d
	classes, err := m.alphabet()
	if err != nil {
		return err
	}
	m.encodeRunes(classes)
	m.root = make([]int32, len(classes)+int(firstClass))

	paths := make([]path, len(m.entries))
	codes := make([]uint16, 0, len(m.chars))
	for i := range m.entries {
		e := &m.entries[i]
		from := len(codes)
		for j, r := range m.of(e) {
			code := classes[m.class(r)]
			if j > 0 && spread(code) == codes[len(codes)-1] {
				e.tail++
				if m.collapse {
					continue
				}
			} else {
				e.tail = 1
			}
			codes = append(codes, spread(code))
		}
		paths[i] = path{codes[from:len(codes):len(codes)], int32(i)}
	}
	slices.SortStableFunc(paths, func(a, b path) int { return slices.Compare(a.labels, b.labels) })
	m.plant(paths, words)
	m.link()
	return nil
}

// path is the way of an entry through the automaton.
type path struct {
	labels []uint16
	entry  int32
}

// alphabet numbers the classes of the letters that occur.
func (m *machine) alphabet() (map[rune]uint16, error) {
	classes := map[rune]uint16{}
	for _, r := range m.chars {
		c := m.class(r)
		if _, ok := classes[c]; ok {
			continue
		}
		if len(classes) == 1<<16-1-int(firstClass) {
			return nil, fmt.Errorf("the list has more than %d different letters; a list of words has some thousands, so look for lines that are none", len(classes))
		}
		classes[c] = firstClass + uint16(len(classes))
	}
	return classes, nil
}

// encodeRunes says for every rune how the automaton reads it.
func (m *machine) encodeRunes(classes map[rune]uint16) {
	for c, code := range classes {
		if u, seq := m.folds.Of(c); seq == nil && u == fold.Unit(c) {
			m.setCode(c, code)
		}
	}
	for r := range m.folds.Changed() {
		u, seq := m.folds.Of(r)
		if seq == nil {
			if code := m.codeOf(classes, u); code != other {
				m.setCode(r, code)
			}
			continue
		}
		var parts run
		known := false
		for _, u := range seq {
			if m.counts(u) {
				code := m.codeOf(classes, u)
				parts.codes = append(parts.codes, code)
				parts.units = append(parts.units, u)
				known = known || code != other
			}
		}
		switch {
		case len(parts.codes) == 0:
			m.setCode(r, skipped)
		case known:
			m.seqs[r] = parts
			m.setCode(r, special)
		}
	}
}

func (m *machine) codeOf(classes map[rune]uint16, u fold.Unit) uint16 {
	switch {
	case m.counts(u):
		return classes[m.class(u.Rune())]
	case u.Kind() == fold.Symbol && classes[fold.Coarse(u.Rune())] != other && fold.Coarse(u.Rune()) != u.Rune():
		return special
	}
	return skipped
}
