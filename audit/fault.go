package audit

import "fmt"

// Kind says in what way a log is not what was written.
type Kind string

// The kinds of faults.
const (
	Damaged   Kind = "damaged"   // bytes of the entry have changed
	Missing   Kind = "missing"   // the entry is not there, later ones are
	Inserted  Kind = "inserted"  // what is in its place was put in between
	Reordered Kind = "reordered" // the entry is there, in a later place
	Truncated Kind = "truncated" // the log ends before it, and a checkpoint or the tree has it
	Rewritten Kind = "rewritten" // it is whole, and not what the tree or a checkpoint stands for
	Detail    Kind = "detail"    // its detail was changed, or removed without an erasure
	Tree      Kind = "tree"      // the file tree has lost it; Open makes that file again if it is removed
	Unsigned  Kind = "unsigned"  // the first checkpoint over it has no good signature
)

// Fault is the first thing that is wrong with a log. [Verify] returns a *Fault as its error.
type Fault struct {
	Index int64 // of the entry that is concerned; those before it are good
	Kind  Kind
	Why   string
}

func (f *Fault) Error() string {
	return fmt.Sprintf("audit: entry %d is bad (%s): %s", f.Index, f.Kind, f.Why)
}

func fault(index int64, kind Kind, format string, args ...any) *Fault {
	return &Fault{index, kind, fmt.Sprintf(format, args...)}
}

// Report is what Verify has found.
type Report struct {
	Origin      string     // the log's name, from its checkpoints
	Entries     int64      // how many are good
	Checkpoints int        // how many are good, those that were given to Verify included
	Newest      Checkpoint // the largest of those
	Erased      int64      // entries whose detail was erased, and whose erasure is recorded
	Unfinished  int64      // entries that are recorded as erased and have their detail still: a crash, or an old copy of the file
	Torn        bool       // something follows that a crash, or a write right now, has left without an end; Open cuts it
}
