// Package disktest is a file system in memory that does to its user what machines do: it fails, fills up, writes half,
// stalls, and loses its power.
package disktest

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path"
	"path/filepath"
	"slices"
	"sync"
	"syscall"

	"github.com/liveim/im/storage/filelog/internal/disk"
)

// Op is one kind of call.
type Op uint8

// The calls that rules and stalls can be for.
const (
	Create Op = iota + 1
	Open      // Open and OpenWrite
	Rename
	Remove
	ReadDir
	SyncDir
	Lock
	Read
	Write
	Sync
	Truncate
)

// Rule says which calls fail, and how.
type Rule struct {
	Op Op
	// Name is a pattern of path.Match for the last part of the file's name (of the new name, for Rename). Empty: all.
	Name string
	// Err is what the call returns. Required. A Sync that fails loses what was not synced, as on a machine: what is read
	// still shows it, and no later Sync makes it lasting.
	Err error
	// Skip lets so many calls pass first.
	Skip int
	// Times is how many calls fail. 0: all, until the rule is removed.
	Times int
	// Short is how many bytes a Write still writes, or a Read still reads, before it fails.
	Short int
}

// FS is a disk.FS in memory. It is safe for concurrent use. Make one with New.
type FS struct {
	mu       sync.Mutex // protects what follows, and all nodes
	names    map[string]*node
	lasting  map[string]*node // the names that a loss of power leaves
	journal  []change         // what was done to names since, in order
	locks    map[string]bool
	rules    []*rule
	stalls   []*stall
	calls    map[call]int
	capacity int64
	off      bool // the power, or the process
}

var _ disk.FS = (*FS)(nil)

var errOff = errors.New("disktest: this file system was left by a Crash or a Kill")

type call struct {
	op   Op
	name string
}

type rule struct {
	Rule
	seen int
}

type stall struct {
	op       Op
	name     string
	once     sync.Once
	waiting  chan struct{}
	released chan struct{}
}

// change is one that happened to a name: it is node's, or nobody's.
type change struct {
	name string
	node *node
	more bool // the next change is part of the same one
}

// New makes an empty file system. Directories need not be made.
func New() *FS {
	return &FS{names: map[string]*node{}, lasting: map[string]*node{}, locks: map[string]bool{}, calls: map[call]int{}}
}

// Fail adds a rule. The first rule that fits a call counts. remove takes it back.
func (f *FS) Fail(r Rule) (remove func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	added := &rule{Rule: r}
	f.rules = append(f.rules, added)
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.rules = slices.DeleteFunc(f.rules, func(r *rule) bool { return r == added })
	}
}

// Stall makes calls of an operation wait until release is called; name is as in Rule. waiting is closed when the
// first call waits. Inside a synctest bubble that is a durable wait.
func (f *FS) Stall(op Op, name string) (waiting <-chan struct{}, release func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := &stall{op: op, name: name, waiting: make(chan struct{}), released: make(chan struct{})}
	f.stalls = append(f.stalls, s)
	return s.waiting, sync.OnceFunc(func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.stalls = slices.DeleteFunc(f.stalls, func(other *stall) bool { return other == s })
		close(s.released)
	})
}

// SetCapacity bounds the bytes of all files; writes beyond it are short and fail with ENOSPC. 0 or less: no bound.
func (f *FS) SetCapacity(bytes int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.capacity = bytes
}

// begin counts a call, lets it wait where a stall says so, and returns with the lock held. short is how much a failing
// Read or Write still does.
func (f *FS) begin(op Op, name string) (short int, err error) {
	f.mu.Lock()
	f.calls[call{op, name}]++
	for {
		i := slices.IndexFunc(f.stalls, func(s *stall) bool { return s.op == op && fits(s.name, name) })
		if i < 0 {
			break
		}
		s := f.stalls[i]
		f.mu.Unlock()
		s.once.Do(func() { close(s.waiting) })
		<-s.released
		f.mu.Lock()
	}
	if f.off {
		return 0, errOff
	}
	for _, r := range f.rules {
		if r.Op != op || !fits(r.Name, name) {
			continue
		}
		r.seen++
		if r.seen > r.Skip && (r.Times == 0 || r.seen <= r.Skip+r.Times) {
			return r.Short, &fs.PathError{Op: opNames[op], Path: name, Err: r.Err}
		}
	}
	return 0, nil
}

func fits(pattern, name string) bool {
	ok, err := path.Match(pattern, filepath.Base(name))
	return pattern == "" || ok && err == nil
}

var opNames = [...]string{
	Create: "create", Open: "open", Rename: "rename", Remove: "remove", ReadDir: "readdir", SyncDir: "syncdir",
	Lock: "lock", Read: "read", Write: "write", Sync: "sync", Truncate: "truncate",
}

// room is how many bytes may still be added.
func (f *FS) room() int64 {
	if f.capacity <= 0 {
		return 1 << 62
	}
	free := f.capacity
	for _, n := range f.names {
		free -= int64(len(n.data))
	}
	return max(0, free)
}

// Crash is a loss of power. It returns the file system as it is afterwards, unlocked and without rules; the old one, and
// files open on it, fail from now on. With r nil all that was not synced is gone, files and names alike. Otherwise each
// write that was not synced is there, not there, or there in part, as r decides, where sectors of 512 bytes are whole;
// of what happened to names there is the first part, as with a journal.
func (f *FS) Crash(r *rand.Rand) *FS {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.off = true
	if r != nil {
		keep := r.IntN(len(f.journal) + 1)
		for keep > 0 && f.journal[keep-1].more {
			keep--
		}
		apply(f.lasting, f.journal[:keep])
	}
	after := New()
	copies := map[*node]*node{}
	for _, name := range slices.Sorted(keys(f.lasting)) {
		n := f.lasting[name]
		if copies[n] == nil {
			copies[n] = n.crash(r)
		}
		after.names[name], after.lasting[name] = copies[n], copies[n]
	}
	return after
}

// Kill is the end of the process alone: what was written stays, and Crash may still take it. It returns the
// file system unlocked and without rules; the old one, and files open on it, fail from now on.
func (f *FS) Kill() *FS {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.off = true
	after := New()
	after.names, after.lasting, after.journal = f.names, f.lasting, f.journal
	f.names, f.lasting, f.journal = map[string]*node{}, map[string]*node{}, nil
	return after
}

// Count is how many calls of an operation were made on files whose name fits, those that failed included.
func (f *FS) Count(op Op, name string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for c, times := range f.calls {
		if c.op == op && fits(name, c.name) {
			n += times
		}
	}
	return n
}

// Bytes returns a copy of what a file holds now, or nil.
func (f *FS) Bytes(name string) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.names[filepath.Clean(name)]
	if n == nil {
		return nil
	}
	return slices.Clone(n.data)
}

// SetBytes makes a file hold a copy of data, synced, behind the back of those who have it open.
func (f *FS) SetBytes(name string, data []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	name = filepath.Clean(name)
	n := f.names[name]
	if n == nil {
		n = &node{}
		f.names[name], f.lasting[name] = n, n
	}
	n.data, n.lasting, n.pending = slices.Clone(data), slices.Clone(data), nil
}

// Unsynced is how many writes to a file are not synced.
func (f *FS) Unsynced(name string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.names[filepath.Clean(name)]
	if n == nil {
		return 0
	}
	return len(n.pending)
}

func notExist(op, name string) error {
	return &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
}

func noSpace(name string) error {
	return &fs.PathError{Op: "write", Path: name, Err: fmt.Errorf("disktest: %w", syscall.ENOSPC)}
}
