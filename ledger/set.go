package ledger

import (
	"iter"
	"slices"
)

// maxBlock is how many elements a block of a set has at most. An insertion moves half a block.
const maxBlock = 256

// set holds elements in the order of cmp, no two equal. It is a slice that is cut into blocks,
// so that an insertion into a large set moves few elements. The zero set with a cmp is empty.
type set[T any] struct {
	cmp    func(a, b T) int
	blocks [][]T // none is empty
	n      int
}

// search returns where x is, or where it would be inserted.
func (s *set[T]) search(x T) (block, at int, found bool) {
	block, _ = slices.BinarySearchFunc(s.blocks, x, func(b []T, x T) int { return s.cmp(b[len(b)-1], x) })
	if block == len(s.blocks) {
		return block, 0, false
	}
	at, found = slices.BinarySearchFunc(s.blocks[block], x, s.cmp)
	return block, at, found
}

// insert adds x, which the set does not hold.
func (s *set[T]) insert(x T) {
	s.n++
	b, at, _ := s.search(x)
	if b == len(s.blocks) { // it is greater than all
		if b == 0 || len(s.blocks[b-1]) >= maxBlock {
			s.blocks = append(s.blocks, []T{x})
			return
		}
		b, at = b-1, len(s.blocks[b-1])
	}
	block := slices.Insert(s.blocks[b], at, x)
	s.blocks[b] = block
	if len(block) > maxBlock {
		upper := slices.Clone(block[maxBlock/2:])
		clear(block[maxBlock/2:])
		s.blocks[b] = block[:maxBlock/2]
		s.blocks = slices.Insert(s.blocks, b+1, upper)
	}
}

// remove takes x out, which the set holds.
func (s *set[T]) remove(x T) {
	b, at, found := s.search(x)
	if !found {
		return
	}
	s.n--
	s.blocks[b] = slices.Delete(s.blocks[b], at, at+1)
	switch next := b + 1; {
	case len(s.blocks[b]) == 0:
		s.blocks = slices.Delete(s.blocks, b, next)
	case next < len(s.blocks) && len(s.blocks[b])+len(s.blocks[next]) <= maxBlock/2:
		s.blocks[b] = append(s.blocks[b], s.blocks[next]...)
		s.blocks = slices.Delete(s.blocks, next, next+1)
	}
}

// from goes through the elements that are not less than x.
func (s *set[T]) from(x T) iter.Seq[T] {
	return func(yield func(T) bool) {
		b, at, _ := s.search(x)
		for ; b < len(s.blocks); b, at = b+1, 0 {
			for _, x := range s.blocks[b][at:] {
				if !yield(x) {
					return
				}
			}
		}
	}
}
