package audit

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/mod/sumdb/tlog"
)

// recover reads what is not under a checkpoint, cuts what was not finished, and sets the writer's fields.
func (w *writer) recover() error {
	if err := w.recoverCheckpoint(); err != nil {
		return err
	}
	if err := w.recoverEdge(); err != nil {
		return err
	}
	if n := w.edge.n; n > 0 {
		r, err := w.files.record(n - 1)
		if err != nil {
			return fmt.Errorf("%w: entry %d: %w", ErrCorrupt, n-1, err)
		}
		w.detailsEnd = r.end()
	}
	return w.recoverTail()
}

// recoverCheckpoint finds the last checkpoint and cuts one that was not written to its end.
func (w *writer) recoverCheckpoint() error {
	data, err := io.ReadAll(io.NewSectionReader(w.files.checkpoints, 0, 1<<40))
	if err != nil {
		return err
	}
	notes, rest := splitNotes(data)
	if len(rest) > 0 {
		w.logger.Warn("audit: cutting a checkpoint that was not written to its end", "bytes", len(rest))
		if err := w.files.checkpoints.Truncate(int64(len(data) - len(rest))); err != nil {
			return err
		}
	}
	w.notesEnd = int64(len(data) - len(rest))
	if len(notes) == 0 {
		return nil
	}
	last := notes[len(notes)-1]
	c, err := parseCheckpoint(noteText(last))
	if err != nil {
		return fmt.Errorf("%w: the last checkpoint: %w", ErrCorrupt, err)
	}
	if c.Origin != w.origin {
		return fmt.Errorf("audit: the log's name is %q, and Options.Origin says %q; set it to the log's name, or give another directory", c.Origin, w.origin)
	}
	size, err := fileSize(w.files.entries)
	if err != nil {
		return err
	}
	if c.Size > size/recordSize {
		return fmt.Errorf("%w: it has %d entries, and a checkpoint was signed of %d", ErrCorrupt, size/recordSize, c.Size)
	}
	w.last, w.signed = last, c.Size
	return nil
}

// recoverEdge reads the edge of the tree under the last checkpoint, or makes the whole tree again if it is not there.
func (w *writer) recoverEdge() error {
	if w.signed == 0 {
		return nil
	}
	c, err := parseCheckpoint(noteText(w.last))
	if err != nil {
		return err
	}
	if w.edge, err = readEdge(hashFile(w.files.tree), w.signed); err == nil && w.edge.root() == c.Root {
		return nil
	}
	w.logger.Warn("audit: the file tree is not that of the last checkpoint; making it again", "entries", w.signed)
	w.edge = edge{}
	buf := make([]byte, recordSize*4096)
	for w.edge.n < w.signed {
		b := buf[:min(int64(len(buf)), (w.signed-w.edge.n)*recordSize)]
		if _, err := w.files.entries.ReadAt(b, w.edge.n*recordSize); err != nil {
			return err
		}
		if err := w.grow(b); err != nil {
			return err
		}
	}
	if w.edge.root() != c.Root {
		return fmt.Errorf("%w: the %d entries are not those that the last checkpoint was signed of", ErrCorrupt, w.signed)
	}
	return nil
}

// recoverTail takes in the entries after the last checkpoint, up to the first that is not whole.
func (w *writer) recoverTail() error {
	size, err := fileSize(w.files.entries)
	if err != nil {
		return err
	}
	from := w.edge.n
	erased, err := w.tailErasures(from, size/recordSize)
	if err != nil {
		return err
	}
	for w.edge.n < size/recordSize {
		bad := w.takeIn(erased)
		if bad == nil {
			continue
		}
		known, _, err := w.treeHas(w.edge.n)
		if err != nil {
			return err
		}
		if known {
			return fmt.Errorf("%w: entry %d: %w", ErrCorrupt, w.edge.n, bad)
		}
		w.logger.Warn("audit: cutting entries that were not stored to their end, and that nobody was told to be stored", "first", w.edge.n, "reason", bad)
		break
	}
	if known, _, err := w.treeHas(w.edge.n); err != nil || known {
		return errors.Join(err, fmt.Errorf("%w: entry %d was stored and is missing", ErrCorrupt, w.edge.n))
	}
	if have, err := fileSize(w.files.details); err != nil || have < w.detailsEnd {
		return errors.Join(err, fmt.Errorf("%w: the details end at byte %d of %d", ErrCorrupt, have, w.detailsEnd))
	}
	for _, x := range []struct {
		file *os.File
		size int64
	}{{w.files.tree, tlog.StoredHashCount(w.edge.n) * tlog.HashSize}, {w.files.entries, w.edge.n * recordSize}, {w.files.details, w.detailsEnd}} {
		if err := errors.Join(x.file.Truncate(x.size), w.files.sync(x.file)); err != nil {
			return err
		}
	}
	if erased, err = w.tailErasures(from, w.edge.n); err != nil {
		return err
	}
	_, err = w.overwrite(erased)
	return err
}

// takeIn adds the next entry to the tree, or says what is wrong with it.
func (w *writer) takeIn(erased *indexSet) error {
	var b [recordSize]byte
	if _, err := w.files.entries.ReadAt(b[:], w.edge.n*recordSize); err != nil {
		return err
	}
	r, err := parseRecord(b[:])
	if err != nil {
		return err
	}
	if r.index != w.edge.n || r.off != w.detailsEnd {
		return fmt.Errorf("it says that it is entry %d with its detail at %d, and should be %d at %d", r.index, r.off, w.edge.n, w.detailsEnd)
	}
	if e, err := w.files.whole(&r); (err != nil || e.Erased) && !erased.has(r.index) {
		return errors.Join(err, errors.New("its detail is missing"))
	}
	if known, h, err := w.treeHas(r.index); err != nil || known && h != tlog.RecordHash(b[:leafSize]) {
		return errors.Join(err, errors.New("it is not what the tree has"))
	}
	w.detailsEnd = r.end()
	return w.grow(b[:])
}

// treeHas reports whether the tree's file has a hash of an entry: it gets it after the entry is on disk. A
// loss of power may leave zeros there.
func (w *writer) treeHas(index int64) (known bool, h tlog.Hash, err error) {
	n, err := w.files.tree.ReadAt(h[:], tlog.StoredHashIndex(0, index)*tlog.HashSize)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n == len(h) && h != tlog.Hash{}, h, err
}

// tailErasures returns which entries those of an interval say to be erased. A crash may have come before all of
// them were overwritten; a checkpoint comes only afterwards.
func (w *writer) tailErasures(from, to int64) (*indexSet, error) {
	erased := new(indexSet)
	for i := from; i < to; i++ {
		r, err := w.files.record(i)
		if err != nil || r.action != eraseAction || r.index != i {
			continue // what is wrong is told in its place
		}
		if e, err := w.files.whole(&r); err == nil && !e.Erased {
			if err := erased.addErasure(e.Detail, i); err != nil {
				return nil, fmt.Errorf("%w: entry %d: %w", ErrCorrupt, i, err)
			}
		}
	}
	return erased, nil
}
