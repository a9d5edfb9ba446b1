package audit

import (
	"errors"
	"io"

	"golang.org/x/mod/sumdb/tlog"
)

// entry checks the next entry.
func (v *verification) entry(index int64, b []byte) error {
	r, err := parseRecord(b)
	if err != nil {
		return fault(index, Damaged, "%v", err)
	}
	if r.index != index {
		return v.misplaced(index, &r)
	}
	if r.off != v.detailsEnd {
		return fault(index, Damaged, "its detail should be at byte %d, and it says %d", v.detailsEnd, r.off)
	}
	leaf := tlog.RecordHash(b[:leafSize])
	first := tlog.StoredHashCount(index)
	v.out = v.edge.push(leaf, v.out[:0])
	for k, h := range v.out {
		stored, err := v.stored(index, first+int64(k))
		if err != nil {
			return err
		}
		switch {
		case stored == h:
		case stored == tlog.Hash{} && index >= v.signed: // lost with the power, and made again by Open
		case k > 0:
			return fault(index, Tree, "the file tree has another hash of the %d entries up to it", int64(1)<<k)
		default:
			if next, err := v.recordAt(index + 1); err == nil && next.index == index {
				return fault(index, Inserted, "it is not the entry that the tree has, and another entry %d follows", index)
			}
			return fault(index, Rewritten, "it is whole, but not the entry that the tree has")
		}
	}
	if err := v.detail(&r); err != nil {
		return err
	}
	v.detailsEnd = r.end()
	v.report.Entries = index + 1
	return nil
}

// stored reads the next hash of the file tree, or zeros past its end, where that may be.
func (v *verification) stored(index, hash int64) (h tlog.Hash, err error) {
	if hash < v.hashes {
		_, err = io.ReadFull(v.treeIn, h[:])
		return h, err
	}
	if index < v.signed {
		return h, fault(index, Tree, "the file tree ends before it")
	}
	return h, nil
}

// detail checks the detail of a record.
func (v *verification) detail(r *record) error {
	need := saltSize + r.n
	if cap(v.body) < need {
		v.body = make([]byte, saltSize+MaxDetail)
	}
	body := v.body[:need]
	if _, err := io.ReadFull(v.detailsIn, body); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fault(r.index, Detail, "the file details ends before the end of its detail")
	} else if err != nil {
		return err
	}
	erased := v.erased.has(r.index) && !reserved(r.action)
	switch {
	case committed(r.commitment, body[:saltSize], body[saltSize:]):
		if erased {
			v.report.Unfinished++
		}
	case zeros(body) && erased:
		v.report.Erased++
	case zeros(body):
		f := fault(r.index, Detail, "its detail is gone, and no entry says that it was erased")
		if reserved(r.action) || v.isTorn(f) {
			return f
		}
		if v.gone == nil {
			v.gone = f
		}
	case erased:
		return fault(r.index, Detail, "its detail is neither whole nor erased; if a crash has interrupted an erasure, open the log to finish it")
	default:
		return fault(r.index, Detail, "its detail is not what was recorded")
	}
	return nil
}

// isTorn reports whether a fault is what a crash leaves of entries that nobody was told to be stored: the tree
// gets their hashes only after they are on disk.
func (v *verification) isTorn(f *Fault) bool {
	if f.Index < v.signed || f.Kind == Tree {
		return false
	}
	if tlog.StoredHashIndex(0, f.Index) >= v.hashes {
		return true
	}
	h, err := hashFile(v.tree).ReadHashes([]int64{tlog.StoredHashIndex(0, f.Index)})
	return err == nil && h[0] == tlog.Hash{}
}

// misplaced says why another entry is in the place of one.
func (v *verification) misplaced(index int64, r *record) error {
	if r.index < index {
		return fault(index, Inserted, "in its place there is entry %d once more", r.index)
	}
	for later := index + 1; later < v.size; later++ {
		if found, err := v.recordAt(later); err == nil && found.index == index {
			return fault(index, Reordered, "in its place there is entry %d, and it is in place %d", r.index, later)
		}
	}
	return fault(index, Missing, "in its place there is entry %d, and it is nowhere", r.index)
}

func (v *verification) recordAt(index int64) (record, error) {
	var b [recordSize]byte
	if _, err := v.entries.ReadAt(b[:], index*recordSize); err != nil {
		return record{}, err
	}
	return parseRecord(b[:])
}
