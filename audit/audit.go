package audit

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// Errors that callers may want to tell apart, with errors.Is.
var (
	// ErrLocked is returned by Open if a log has the directory open already, in this process or another.
	ErrLocked = errors.New("audit: the directory is in use by another log; end that process, or share its log within this one")
	// ErrClosed is returned by all methods after Close.
	ErrClosed = errors.New("audit: the log is closed")
	// ErrCorrupt is returned when files are not what was written. Keep a copy, and run Verify to learn what is wrong.
	ErrCorrupt = errors.New("audit: the files are not what was written; keep a copy, and run Verify on it")
	// ErrBroken is returned after a write to the disk failed so that nobody knows what reached it.
	ErrBroken = errors.New("audit: a write to the disk failed; close the log, check the disk, open it again")
)

// Options are what may be chosen about a log. Signer must be set.
type Options struct {
	// Signer signs checkpoints: note.NewSigner makes one of a private key. It is called by one goroutine at a time, and
	// entries wait for it.
	Signer note.Signer

	// Origin names the log in its checkpoints, for ever; choose a different one for each log, as "example.com/audit".
	// Defaults to the signer's name.
	Origin string

	// Now tells the time of entries. It is called by one goroutine at a time. Defaults to time.Now.
	Now func() time.Time

	// CheckpointEvery is after how many entries the log signs a checkpoint by itself. Defaults to 1000.
	CheckpointEvery int64

	// CheckpointAfter is how long an entry may go without a checkpoint. Defaults to one minute.
	CheckpointAfter time.Duration

	// Logger is told what the log did by itself: entries without an end that it cut when it was opened, checkpoints
	// that failed. Defaults to slog.Default().
	Logger *slog.Logger
}

func (o *Options) validate() error {
	switch {
	case o.Signer == nil:
		return errors.New("audit: Options.Signer is not set; make a key once with note.GenerateKey, keep it away from the log, and give what note.NewSigner makes of it")
	case o.CheckpointEvery < 0:
		return fmt.Errorf("audit: Options.CheckpointEvery is %d; it must not be negative", o.CheckpointEvery)
	case o.CheckpointAfter < 0:
		return fmt.Errorf("audit: Options.CheckpointAfter is %s; it must not be negative", o.CheckpointAfter)
	}
	if o.Origin == "" {
		o.Origin = o.Signer.Name()
	}
	if o.Origin == "" || strings.ContainsFunc(o.Origin, func(r rune) bool { return r < ' ' || r == 0xfffd }) {
		return fmt.Errorf("audit: Options.Origin is %q; it must be a line of text", o.Origin)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.CheckpointEvery == 0 {
		o.CheckpointEvery = 1000
	}
	if o.CheckpointAfter == 0 {
		o.CheckpointAfter = time.Minute
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return nil
}

// Log is an open log. Use [Open]; it may be used by many goroutines, and must be closed. Most callers want Record.
type Log struct {
	size    atomic.Int64  // of what is on disk
	stopped chan struct{} // is closed when the writer has returned

	mu      sync.Mutex // protects the fields of this block
	arrived sync.Cond  // signals queue and closed to the writer
	queue   []*request
	closed  bool

	// reading is held for writing while details are erased and while files are closed.
	reading sync.RWMutex
	files   *files // nil after Close
}

// Open opens the log in a directory, and makes the directory if there is none. It checks what is not under a checkpoint
// yet, cuts what a crash left unfinished and nobody was told to be stored, and finishes an erasure that a crash
// interrupted. It does not read all entries: that is for [Verify]. Its errors may wrap ErrLocked, ErrCorrupt, and those
// of the file system.
func Open(dir string, o *Options) (*Log, error) {
	var options Options
	if o != nil {
		options = *o
	}
	if err := options.validate(); err != nil {
		return nil, err
	}
	return open(dir, options, datasync)
}

func open(dir string, options Options, sync func(*os.File) error) (*Log, error) {
	f, err := openFiles(dir, sync)
	if err != nil {
		return nil, fmt.Errorf("audit: opening %s: %w", dir, err)
	}
	l := &Log{files: f, stopped: make(chan struct{})}
	l.arrived.L = &l.mu
	w := &writer{
		log: l, files: f, signer: options.Signer, origin: options.Origin, now: options.Now,
		every: options.CheckpointEvery, after: options.CheckpointAfter, logger: options.Logger,
	}
	if err := w.recover(); err != nil {
		return nil, errors.Join(fmt.Errorf("audit: opening %s: %w", dir, err), f.close())
	}
	l.size.Store(w.edge.n)
	go w.run()
	return l, nil
}

// Len is how many entries are stored.
func (l *Log) Len() int64 { return l.size.Load() }

// Close stores the entries that wait, signs a last checkpoint, and closes the files. Calls that come later return
// ErrClosed. Its error is that of the last checkpoint or of the files: entries that were acknowledged are stored in
// any case. To close again waits for the first and does nothing.
func (l *Log) Close() error {
	last := &request{done: make(chan struct{})}
	last.alone = func(w *writer) error {
		if w.edge.n == 0 {
			return nil
		}
		_, err := w.sign()
		return err
	}
	err := l.enqueue(last, true)
	<-l.stopped
	if err != nil {
		return nil
	}
	l.reading.Lock()
	defer l.reading.Unlock()
	err = errors.Join(last.err, l.files.close())
	l.files = nil
	return err
}
