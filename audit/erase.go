package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math/bits"
)

// maxRanges bounds the detail of one entry about an erasure.
const maxRanges = 1000

// erasure is the detail of an entry about erased ones.
type erasure struct {
	Entries [][2]int64 `json:"entries"` // first and last
}

// Erase removes for ever the details of the entries for which match returns true, among those that were recorded before
// the call, and returns how many that were. An entry "audit.erase" with their numbers stays, and a checkpoint is
// signed. Match is called for every entry that has a detail and is not the log's own, in the caller's goroutine:
//
//	n, err := l.Erase(ctx, func(e audit.Entry) bool { return e.Text("user") == "u7" || e.Text("by") == "u7" })
//
// When it returns an error the erasure may have happened in part, or be finished when the log is opened again. Calling it
// again does no harm.
func (l *Log) Erase(ctx context.Context, match func(Entry) bool) (int64, error) {
	set := new(indexSet)
	for e, err := range l.Entries(ctx, Query{}) {
		if err != nil {
			return 0, err
		}
		if !e.Erased && !reserved(e.Action) && match(e) {
			set.add(e.Index)
		}
	}
	if set.empty() {
		return 0, nil
	}
	var n int64
	r := &request{done: make(chan struct{})}
	r.alone = func(w *writer) (err error) {
		n, err = w.erase(set)
		return err
	}
	if err := l.do(ctx, r); err != nil {
		return 0, err
	}
	return n, nil
}

// erase first stores what it will overwrite: a crash in between is then made good by the next Open.
func (w *writer) erase(set *indexSet) (int64, error) {
	var ranges [][2]int64
	for i := range set.all() {
		r, err := w.files.record(i)
		if err != nil {
			return 0, fmt.Errorf("%w: entry %d: %w", ErrCorrupt, i, err)
		}
		e, err := w.files.whole(&r)
		if err != nil {
			return 0, err
		}
		if e.Erased {
			set.remove(i) // by another call that ran at once
			continue
		}
		if last := len(ranges) - 1; last >= 0 && ranges[last][1] == i-1 {
			ranges[last][1] = i
		} else {
			ranges = append(ranges, [2]int64{i, i})
		}
	}
	for len(ranges) > 0 {
		part := ranges[:min(len(ranges), maxRanges)]
		ranges = ranges[len(part):]
		detail, err := json.Marshal(erasure{part})
		if err != nil {
			return 0, err
		}
		r, err := newRequest(eraseAction, detail)
		if err != nil {
			return 0, err
		}
		if err := w.append([]*request{r}); err != nil {
			return 0, err
		}
	}
	n, err := w.overwrite(set)
	if err != nil {
		return n, w.fail(err)
	}
	if n > 0 {
		_, err = w.sign()
	}
	return n, err
}

// overwrite puts zeros in place of details, and returns of how many.
func (w *writer) overwrite(set *indexSet) (n int64, err error) {
	w.log.reading.Lock()
	defer w.log.reading.Unlock()
	for i := range set.all() {
		r, err := w.files.record(i)
		if err != nil || reserved(r.action) {
			return n, errors.Join(err, fmt.Errorf("%w: entry %d cannot be erased", ErrCorrupt, i))
		}
		body := make([]byte, saltSize+r.n)
		if _, err := w.files.details.ReadAt(body, r.off); err != nil {
			return n, err
		}
		if zeros(body) {
			continue
		}
		clear(body)
		if _, err := w.files.details.WriteAt(body, r.off); err != nil {
			return n, err
		}
		n++
	}
	if n == 0 {
		return 0, nil
	}
	return n, w.files.sync(w.files.details)
}

// indexSet is a set of entries. The zero value is empty.
type indexSet struct{ words []uint64 }

func (s *indexSet) add(i int64) {
	for int64(len(s.words)) <= i/64 {
		s.words = append(s.words, 0)
	}
	s.words[i/64] |= 1 << (i % 64)
}

func (s *indexSet) remove(i int64) { s.words[i/64] &^= 1 << (i % 64) }

func (s *indexSet) has(i int64) bool {
	return i/64 < int64(len(s.words)) && s.words[i/64]>>(i%64)&1 == 1
}

func (s *indexSet) empty() bool {
	for range s.all() {
		return false
	}
	return true
}

// all goes through the set in order. What it has given may be removed meanwhile.
func (s *indexSet) all() iter.Seq[int64] {
	return func(yield func(int64) bool) {
		for at, word := range s.words {
			for ; word != 0; word &= word - 1 {
				if !yield(int64(at)*64 + int64(bits.TrailingZeros64(word))) {
					return
				}
			}
		}
	}
}

// addErasure adds what the entry of an index says to be erased.
func (s *indexSet) addErasure(detail []byte, index int64) error {
	var e erasure
	if err := json.Unmarshal(detail, &e); err != nil {
		return fmt.Errorf("it does not say what was erased: %w", err)
	}
	for _, r := range e.Entries {
		if r[0] < 0 || r[0] > r[1] || r[1] >= index {
			return fmt.Errorf("it says that entries %d to %d were erased, which cannot be", r[0], r[1])
		}
		for i := r[0]; i <= r[1]; i++ {
			s.add(i)
		}
	}
	return nil
}
