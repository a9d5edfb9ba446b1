package words

// plant makes the trie of the sorted paths, level by level. Where several paths are the
// same their entries form a chain.
func (m *machine) plant(paths []path, words []Word) {
	type span struct{ lo, hi int } // of the paths that go through a state
	m.states, m.ending = []state{{}}, []int32{-1}
	level := []span{{0, len(paths)}}
	first := int32(0) // the state of level[0]
	for depth := 0; len(level) > 0; depth++ {
		var below []span
		for i, s := range level {
			at := first + int32(i)
			lo := s.lo
			for ; lo < s.hi && len(paths[lo].labels) == depth; lo++ {
				m.end(at, paths[lo].entry, words)
			}
			m.states[at].kids = int32(len(m.states))
			for lo < s.hi {
				label, hi := paths[lo].labels[depth], lo+1
				for hi < s.hi && paths[hi].labels[depth] == label {
					hi++
				}
				if depth == 0 {
					m.root[codeOfLabel(label)] = int32(len(m.states))
				}
				m.states[at].mask |= 1 << (codeOfLabel(label) & 63)
				m.states = append(m.states, state{label: label})
				m.ending = append(m.ending, -1)
				below = append(below, span{lo, hi})
				lo = hi
			}
			m.states[at].n = uint16(int32(len(m.states)) - m.states[at].kids)
		}
		first += int32(len(level))
		level = below
	}
}

// end lets an entry end in a state, unless one that does is found in the same places: then the
// more severe one stays.
func (m *machine) end(at, entry int32, words []Word) {
	e := &m.entries[entry]
	w := &words[e.word]
	for i := m.ending[at]; i >= 0; i = m.entries[i].next {
		had := &m.entries[i]
		before := &words[had.word]
		if before.WholeWord != w.WholeWord || w.WholeWord && had.blanks != e.blanks || string(m.of(had)) != string(m.of(e)) {
			continue
		}
		if w.Action > before.Action && before.Action != Allow || w.Action == Allow {
			had.word = e.word
		}
		return
	}
	e.next = m.ending[at]
	m.ending[at] = entry
}

// link finds for each state the one of its longest suffix. Those are less deep, so
// they have lower numbers and are done before.
func (m *machine) link() {
	for at := range m.states {
		s := &m.states[at]
		for kid := s.kids; kid < s.kids+int32(s.n); kid++ {
			k := &m.states[kid]
			if at != 0 {
				k.fail = m.step(s.fail, codeOfLabel(m.states[kid].label))
			}
			if k.out = m.states[k.fail].out; m.ending[kid] >= 0 {
				k.out = kid
			}
		}
	}
}
