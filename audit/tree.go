package audit

import (
	"fmt"
	"io"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"
)

// edge is the right edge of a tree: the root of each of its complete subtrees, the largest first. It is all that is
// needed to add a leaf or to know the root.
type edge struct {
	n     int64
	roots []tlog.Hash
}

// push adds a leaf and appends to out the hashes that are complete now, in the order of tlog.StoredHashIndex.
func (t *edge) push(leaf tlog.Hash, out []tlog.Hash) []tlog.Hash {
	h := leaf
	out = append(out, h)
	for n := t.n; n&1 == 1; n >>= 1 {
		last := len(t.roots) - 1
		h = tlog.NodeHash(t.roots[last], h)
		t.roots = t.roots[:last]
		out = append(out, h)
	}
	t.roots = append(t.roots, h)
	t.n++
	return out
}

// root is the hash of the whole tree.
func (t *edge) root() tlog.Hash {
	if t.n == 0 {
		h, _ := tlog.TreeHash(0, nil) // which reads nothing, and so does not fail
		return h
	}
	h := t.roots[len(t.roots)-1]
	for i := len(t.roots) - 2; i >= 0; i-- {
		h = tlog.NodeHash(t.roots[i], h)
	}
	return h
}

// readEdge reads the right edge of the tree of the first n leaves.
func readEdge(r tlog.HashReader, n int64) (edge, error) {
	var indexes []int64
	var begin int64
	for level := bits.Len64(uint64(n)) - 1; level >= 0; level-- {
		if n>>level&1 == 1 {
			indexes = append(indexes, tlog.StoredHashIndex(level, begin>>level))
			begin += 1 << level
		}
	}
	roots, err := r.ReadHashes(indexes)
	return edge{n, roots}, err
}

// hashFile reads hashes from the file tree.
func hashFile(f io.ReaderAt) tlog.HashReader {
	return tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		hashes := make([]tlog.Hash, len(indexes))
		for i, x := range indexes {
			if _, err := f.ReadAt(hashes[i][:], x*tlog.HashSize); err != nil {
				return nil, fmt.Errorf("audit: reading hash %d of the tree: %w", x, err)
			}
		}
		return hashes, nil
	})
}

// ProveRecord returns the proof that the entry of this index is in the tree of the first size entries, which is that of a
// checkpoint. [Checkpoint.CheckRecord] checks it.
func (l *Log) ProveRecord(size, index int64) (tlog.RecordProof, error) {
	if have := l.Len(); size > have || index < 0 || index >= size {
		return nil, fmt.Errorf("audit: no proof of entry %d among %d: the log has %d entries; ask for an index below the size of a checkpoint of this log", index, size, have)
	}
	return prove(l, func(r tlog.HashReader) (tlog.RecordProof, error) { return tlog.ProveRecord(size, index, r) })
}

// ProveTree returns the proof that the tree of the first size entries continues that of the first old ones; both are those
// of checkpoints. [Checkpoint.CheckTree] checks it.
func (l *Log) ProveTree(size, old int64) (tlog.TreeProof, error) {
	if have := l.Len(); size > have || old < 1 || old > size {
		return nil, fmt.Errorf("audit: no proof that %d entries continue %d: the log has %d entries; ask for sizes from 1 up of checkpoints of this log, the older first", size, old, have)
	}
	return prove(l, func(r tlog.HashReader) (tlog.TreeProof, error) { return tlog.ProveTree(size, old, r) })
}

func prove[P any](l *Log, f func(tlog.HashReader) (P, error)) (P, error) {
	l.reading.RLock()
	defer l.reading.RUnlock()
	if l.files == nil {
		var none P
		return none, ErrClosed
	}
	return f(hashFile(l.files.tree))
}
