package audit

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Verify reads the whole log in a directory and checks every entry, every detail that was not erased, the tree, and the
// signature of every checkpoint; known are the public keys that signed them, as note.VerifierList(v). Kept are
// checkpoints that somebody kept elsewhere: the log must continue each of them. It changes nothing, takes no lock, and may
// run while the log is in use.
//
// If the log is not what was written, the error is a [*Fault] that names the first entry that is not. Where nothing but a
// checkpoint shows it, because the tree was rewritten as well, that is the first entry that only the failing checkpoint
// covers. The report says how far the log is good. Other errors are those of the file system, of kept, and of ctx.
//
// A log without a fault may still have lost its newest entries and checkpoints together, unless the newest checkpoint is in
// kept. Compare Report.Newest with what you know.
func Verify(ctx context.Context, dir string, known note.Verifiers, kept ...[]byte) (Report, error) {
	const tries = 3
	for try := 1; ; try++ {
		v := &verification{known: known}
		err := v.open(dir)
		if err == nil {
			err = v.run(ctx, kept)
		}
		// An erasure that runs at the same time looks like a fault until its entry has been read.
		f, isFault := errors.AsType[*Fault](err)
		again := try < tries && isFault && f.Kind == Detail && v.grew()
		v.close()
		if !again {
			return v.report, err
		}
	}
}

const bufferSize = 1 << 16

// verification is the state of Verify.
type verification struct {
	known  note.Verifiers
	report Report

	entries, details, tree, checkpoints *os.File

	claims []claim // sorted by size
	unread *Fault  // about the first checkpoint in the file that is not good
	size   int64   // of entries, in entries
	signed int64   // the largest size of a claim
	hashes int64   // how many the file tree has
	erased indexSet
	gone   *Fault // the first detail that is gone without an entry that says so, among those that were read

	edge       edge
	good       int64 // the largest size of a claim that was found true
	detailsEnd int64
	treeIn     *bufio.Reader
	detailsIn  *bufio.Reader
	out        []tlog.Hash
	body       []byte
}

// claim is a checkpoint that must be found true.
type claim struct {
	Checkpoint
	kept bool
}

func (v *verification) open(dir string) error {
	missing := 0
	files := []namedFile{{entriesName, &v.entries}, {detailsName, &v.details}, {treeName, &v.tree}, {checkpointsName, &v.checkpoints}}
	for _, x := range files {
		f, err := os.Open(filepath.Join(dir, x.name))
		if errors.Is(err, fs.ErrNotExist) {
			// What was in it will be missed below.
			missing++
			f, err = os.Open(os.DevNull)
		}
		if err != nil {
			return fmt.Errorf("audit: verifying %s: %w", dir, err)
		}
		*x.file = f
	}
	if missing == len(files) {
		return fmt.Errorf("audit: verifying %s: there is no log: %w", dir, fs.ErrNotExist)
	}
	return nil
}

func (v *verification) close() {
	for _, f := range []*os.File{v.entries, v.details, v.tree, v.checkpoints} {
		if f != nil {
			f.Close()
		}
	}
}

func (v *verification) grew() bool {
	size, err := fileSize(v.entries)
	return err == nil && size/recordSize > v.size
}

func (v *verification) run(ctx context.Context, kept [][]byte) error {
	if err := v.readCheckpoints(kept); err != nil {
		return err
	}
	// In this order a log in use never looks as if its end were missing.
	treeSize, err1 := fileSize(v.tree)
	size, err2 := fileSize(v.entries)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	v.hashes, v.size = treeSize/tlog.HashSize, size/recordSize
	v.report.Torn = v.report.Torn || size%recordSize != 0
	if err := v.readErasures(ctx); err != nil {
		return err
	}
	return v.withGone(v.walk(ctx))
}

// withGone decides between two faults. If something else is bad, that may be why no entry tells of an erasure.
func (v *verification) withGone(err error) error {
	f, isFault := errors.AsType[*Fault](err)
	switch {
	case v.gone == nil:
	case err == nil:
		v.report.Entries = v.gone.Index
		return v.gone
	case isFault:
		f.Why += fmt.Sprintf("; also, details are gone, the first that of entry %d, and what is bad here may be why no entry says that they were erased", v.gone.Index)
	}
	return err
}

func (v *verification) walk(ctx context.Context) error {
	v.treeIn = bufio.NewReaderSize(v.tree, bufferSize)
	v.detailsIn = bufio.NewReaderSize(v.details, bufferSize)
	err := v.records(ctx, func(index int64, b []byte) error {
		if err := v.claimed(index); err != nil {
			return err
		}
		err := v.entry(index, b)
		if f, ok := errors.AsType[*Fault](err); ok && v.isTorn(f) {
			v.report.Torn = true
			v.size = index
			return errStop
		}
		return err
	})
	if err != nil {
		return err
	}
	return v.end()
}

// readCheckpoints reads the checkpoints of the log and those that were kept.
func (v *verification) readCheckpoints(kept [][]byte) error {
	for i, signed := range kept {
		c, err := ReadCheckpoint(signed, v.known)
		if err != nil {
			return fmt.Errorf("audit: checkpoint %d of those that were kept: %w", i, err)
		}
		if v.report.Origin != "" && v.report.Origin != c.Origin {
			return fmt.Errorf("audit: the kept checkpoints are of two logs, %q and %q", v.report.Origin, c.Origin)
		}
		v.report.Origin = c.Origin
		v.claims = append(v.claims, claim{c, true})
	}
	data, err := io.ReadAll(v.checkpoints)
	if err != nil {
		return err
	}
	notes, rest := splitNotes(data)
	v.report.Torn = len(rest) > 0
	last := int64(0)
	for i, signed := range notes {
		c, err := ReadCheckpoint(signed, v.known)
		switch {
		case err != nil:
		case v.report.Origin != "" && c.Origin != v.report.Origin:
			err = fmt.Errorf("it is of another log, %q", c.Origin)
		case c.Size < last:
			err = fmt.Errorf("it is of %d entries, and comes after one of %d", c.Size, last)
		}
		if err != nil {
			v.unread = fault(last, Unsigned, "checkpoint %d in the file: %v", i, err)
			break
		}
		v.report.Origin, last = c.Origin, c.Size
		v.claims = append(v.claims, claim{c, false})
	}
	slices.SortStableFunc(v.claims, func(a, b claim) int { return int(a.Size - b.Size) })
	if n := len(v.claims); n > 0 {
		v.signed = v.claims[n-1].Size
	}
	return nil
}

// claimed checks the checkpoints over the entries that were read.
func (v *verification) claimed(size int64) error {
	for len(v.claims) > 0 && v.claims[0].Size == size {
		c := v.claims[0]
		if c.Root != v.edge.root() {
			whose := "in the file"
			if c.kept {
				whose = "that was kept"
			}
			return fault(v.good, Rewritten, "the checkpoint of %d entries %s stands for others: one of %d to %d was rewritten, together with the tree", size, whose, v.good, size-1)
		}
		v.good, v.report.Newest = size, c.Checkpoint
		v.report.Checkpoints++
		v.claims = v.claims[1:]
	}
	if v.unread != nil && v.unread.Index == size {
		return v.unread
	}
	return nil
}

// end checks that nothing more should be there.
func (v *verification) end() error {
	if err := v.claimed(v.size); err != nil {
		return err
	}
	if len(v.claims) > 0 {
		return fault(v.size, Truncated, "the log ends before it, and a checkpoint was signed of %d entries", v.claims[0].Size)
	}
	var h tlog.Hash
	if tlog.StoredHashCount(v.size) < v.hashes {
		if _, err := io.ReadFull(v.treeIn, h[:]); err != nil || h != (tlog.Hash{}) {
			return errors.Join(err, fault(v.size, Truncated, "the log ends before it, and the tree has it"))
		}
	}
	if n, err := io.Copy(io.Discard, io.LimitReader(v.detailsIn, 1)); err != nil || n > 0 {
		v.report.Torn = true
		return err
	}
	return nil
}

var errStop = errors.New("stop")

// records gives the records of the log in turn. The slice is valid until the next.
func (v *verification) records(ctx context.Context, f func(index int64, b []byte) error) error {
	in := bufio.NewReaderSize(io.NewSectionReader(v.entries, 0, v.size*recordSize), bufferSize)
	var b [recordSize]byte
	for i := range v.size {
		if i%1024 == 0 && ctx.Err() != nil {
			return fmt.Errorf("audit: the context of the call has ended: %w", ctx.Err())
		}
		if _, err := io.ReadFull(in, b[:]); err != nil {
			return fmt.Errorf("audit: reading entry %d: %w", i, err)
		}
		if err := f(i, b[:]); err == errStop {
			return nil
		} else if err != nil {
			return err
		}
	}
	return nil
}

// readErasures collects what the log says to be erased. Entries that are bad are told in their place.
func (v *verification) readErasures(ctx context.Context) error {
	action := append([]byte{version, byte(len(eraseAction))}, eraseAction...)
	return v.records(ctx, func(index int64, b []byte) error {
		if !bytes.HasPrefix(b, action) {
			return nil
		}
		r, err := parseRecord(b)
		if err != nil || r.index != index {
			return nil
		}
		body := make([]byte, saltSize+r.n)
		if _, err := v.details.ReadAt(body, r.off); err != nil {
			return nil
		}
		if e, err := r.entry(body); err == nil && !e.Erased {
			_ = v.erased.addErasure(e.Detail, index)
		}
		return nil
	})
}

func reserved(action string) bool { return strings.HasPrefix(action, Reserved) }
