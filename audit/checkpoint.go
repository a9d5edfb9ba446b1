package audit

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Checkpoint is what a signed checkpoint says. As text it is a signed note of three lines: the origin, the size in
// decimal, the root in base64.
type Checkpoint struct {
	Origin string    // the log's name
	Size   int64     // how many entries
	Root   tlog.Hash // the hash of the tree of those
}

// ReadCheckpoint reads a checkpoint and checks its signature. One key that it knows is enough: note.VerifierList(v) for
// one verifier.
func ReadCheckpoint(signed []byte, known note.Verifiers) (Checkpoint, error) {
	n, err := note.Open(signed, known)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("audit: a checkpoint without a good signature: %w", err)
	}
	for _, sig := range append(n.Sigs, n.UnverifiedSigs...) {
		// The note's own reader lets the last bits be anything, and nothing here may change unseen.
		if _, err := base64.StdEncoding.Strict().DecodeString(sig.Base64); err != nil {
			return Checkpoint{}, fmt.Errorf("audit: a checkpoint with a signature that was changed: %w", err)
		}
	}
	return parseCheckpoint(n.Text)
}

// CheckRecord checks by a proof from [Log.ProveRecord] that an entry is under the checkpoint, and, unless it was
// erased, that its detail is the one that was recorded. It needs no log.
func (c Checkpoint) CheckRecord(p tlog.RecordProof, e Entry) error {
	if len(e.Action) > MaxAction || e.Index < 0 || e.Index >= c.Size {
		return fmt.Errorf("audit: entry %d with an action of %d bytes cannot be one of the %d under this checkpoint", e.Index, len(e.Action), c.Size)
	}
	if !e.Erased && !committed(e.Commitment, e.Salt, e.Detail) {
		return fmt.Errorf("audit: the detail of entry %d is not the one that was recorded", e.Index)
	}
	if e.Erased && len(e.Detail)+len(e.Salt) > 0 {
		return fmt.Errorf("audit: entry %d says that it is erased and has a detail, which nothing vouches for", e.Index)
	}
	if err := tlog.CheckRecord(p, c.Size, c.Root, e.Index, tlog.RecordHash(e.Leaf())); err != nil {
		return fmt.Errorf("audit: entry %d is not what the checkpoint of %d entries stands for: %w", e.Index, c.Size, err)
	}
	return nil
}

// CheckTree checks by a proof from [Log.ProveTree] that the log under this checkpoint begins with all that was under the
// older one: nothing was rewritten in between. It needs no log.
func (c Checkpoint) CheckTree(p tlog.TreeProof, older Checkpoint) error {
	if older.Origin != c.Origin {
		return fmt.Errorf("audit: the older checkpoint is of the log %q, this one of %q", older.Origin, c.Origin)
	}
	if older.Size < 1 || older.Size > c.Size {
		return fmt.Errorf("audit: a checkpoint of %d entries cannot continue one of %d (of none, there is nothing to check)", c.Size, older.Size)
	}
	if err := tlog.CheckTree(p, c.Size, c.Root, older.Size, older.Root); err != nil {
		return fmt.Errorf("audit: the log of %d entries does not continue that of %d, so it was rewritten: %w", c.Size, older.Size, err)
	}
	return nil
}

// text is what is signed.
func (c Checkpoint) text() string {
	return fmt.Sprintf("%s\n%d\n%s\n", c.Origin, c.Size, c.Root)
}

// parseCheckpoint accepts exactly what text writes.
func parseCheckpoint(text string) (Checkpoint, error) {
	bad := errors.New("audit: the text is not a checkpoint: it must have three lines, a name, a size, and a hash in base64")
	lines := strings.Split(text, "\n")
	if len(lines) != 4 {
		return Checkpoint{}, bad
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 {
		return Checkpoint{}, bad
	}
	root, err := tlog.ParseHash(lines[2])
	if err != nil {
		return Checkpoint{}, bad
	}
	c := Checkpoint{lines[0], size, root}
	if c.Origin == "" || c.text() != text {
		return Checkpoint{}, bad
	}
	return c, nil
}

// splitNotes splits the file checkpoints: each note is followed by an empty line. What is left over was not written to
// its end.
func splitNotes(data []byte) (notes [][]byte, rest []byte) {
	for {
		text := bytes.Index(data, []byte("\n\n"))
		if text < 0 {
			return notes, data
		}
		signatures := bytes.Index(data[text+2:], []byte("\n\n"))
		if signatures < 0 {
			return notes, data
		}
		end := text + 2 + signatures + 1
		notes, data = append(notes, data[:end]), data[end+1:]
	}
}

// noteText returns the text of a note without a look at its signatures.
func noteText(signed []byte) string {
	text, _, _ := strings.Cut(string(signed), "\n\n")
	return text + "\n"
}

// sign makes a checkpoint of all entries, unless the last one is of them, and returns it. It belongs to the writer.
func (w *writer) sign() ([]byte, error) {
	if w.last != nil && w.signed == w.edge.n {
		return w.last, nil
	}
	c := Checkpoint{w.origin, w.edge.n, w.edge.root()}
	signed, err := note.Sign(&note.Note{Text: c.text()}, w.signer)
	if err != nil {
		return nil, fmt.Errorf("audit: the signer failed, and the next checkpoint tries again: %w", err)
	}
	// What is under a checkpoint is not computed again when the log is opened, so the tree must last first.
	if err := w.files.sync(w.files.tree); err != nil {
		return nil, w.fail(err)
	}
	_, err = w.files.checkpoints.WriteAt(append(bytes.Clone(signed), '\n'), w.notesEnd)
	if err == nil {
		err = w.files.sync(w.files.checkpoints)
	}
	if err != nil {
		return nil, w.fail(err)
	}
	w.notesEnd += int64(len(signed)) + 1
	w.last, w.signed = signed, c.Size
	return signed, nil
}
