package audit

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// What one group takes together; one entry may be as large by itself.
const (
	maxGroup      = 1024
	maxGroupBytes = 4 << 20
)

// request is an entry, or something else that only the writer may do, on its way through the writer.
type request struct {
	record record
	body   []byte                // salt and detail
	alone  func(w *writer) error // instead of an entry

	taken atomic.Bool // by the writer, or by the caller whose context ended
	err   error
	done  chan struct{} // is closed when err is set
}

// Record adds an entry and returns when it is on disk. Detail becomes JSON of at most MaxDetail bytes; have it be an object,
// with strings under "room", "user" and "by" where they apply, so that a staff page can find them by [Entry.Text]. Action
// has the form "moderate.mute": it must be printable ASCII of at most MaxAction bytes, must not begin with Reserved,
// and stays for ever, so it must not name a person.
//
// When ctx ends first, the error wraps ctx.Err(), and says whether the entry may still be stored. After another
// error it is not, unless that is ErrBroken: then only opening the log again tells.
func (l *Log) Record(ctx context.Context, action string, detail any) error {
	if err := checkAction(action); err != nil {
		return err
	}
	b, err := json.Marshal(detail)
	if err != nil {
		return fmt.Errorf("audit: the detail of %q cannot be written as JSON: %w", action, err)
	}
	r, err := newRequest(action, b)
	if err != nil {
		return err
	}
	return l.do(ctx, r)
}

func newRequest(action string, detail []byte) (*request, error) {
	if len(detail) > MaxDetail {
		return nil, fmt.Errorf("audit: the detail of %q has %d bytes as JSON; give at most %d, and a reference to what is larger", action, len(detail), MaxDetail)
	}
	body := make([]byte, saltSize+len(detail))
	rand.Read(body[:saltSize])
	copy(body[saltSize:], detail)
	return &request{
		record: record{action: action, n: len(detail), commitment: commit(body[:saltSize], detail)},
		body:   body, done: make(chan struct{}),
	}, nil
}

// Checkpoint returns a signed checkpoint of all entries that were recorded before the call, for [ReadCheckpoint] and as
// something to keep elsewhere. Where nothing was added since the last one, it is that.
func (l *Log) Checkpoint(ctx context.Context) ([]byte, error) {
	var signed []byte
	r := &request{done: make(chan struct{})}
	r.alone = func(w *writer) (err error) {
		signed, err = w.sign()
		return err
	}
	if err := l.do(ctx, r); err != nil {
		return nil, err
	}
	return append([]byte(nil), signed...), nil
}

// do has the writer carry out a request and waits for it.
func (l *Log) do(ctx context.Context, r *request) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("audit: the context of the call has ended: %w", err)
	}
	if err := l.enqueue(r, false); err != nil {
		return err
	}
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		if r.taken.CompareAndSwap(false, true) {
			return fmt.Errorf("audit: the context ended before writing began, so nothing was stored: %w", ctx.Err())
		}
		return fmt.Errorf("audit: the context ended while writing, so it may still be stored: %w", ctx.Err())
	}
}

func (l *Log) enqueue(r *request, last bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return ErrClosed
	}
	l.closed = last
	l.queue = append(l.queue, r)
	l.arrived.Signal()
	return nil
}

// next waits for requests and takes all, or returns nil after Close.
func (l *Log) next() []*request {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.queue) == 0 {
		if l.closed {
			return nil
		}
		l.arrived.Wait()
	}
	// Whoever was answered just now may be about to record again.
	l.mu.Unlock()
	runtime.Gosched()
	l.mu.Lock()
	all := l.queue
	l.queue = nil
	return all
}

// writer is the one goroutine that writes.
type writer struct {
	log    *Log
	files  *files
	signer note.Signer
	origin string
	now    func() time.Time
	every  int64
	after  time.Duration
	logger *slog.Logger

	edge       edge
	detailsEnd int64
	notesEnd   int64
	last       []byte // the last checkpoint, nil before the first
	signed     int64  // how many entries it covers
	tryAt      int64  // after the signer failed: how many entries there must be to ask it again
	timer      *time.Timer
	broken     error

	records, bodies []byte // buffers of append
	hashes          []tlog.Hash
}

// run carries out requests until the log is closed and none is left.
func (w *writer) run() {
	defer close(w.log.stopped)
	for all := w.log.next(); all != nil; all = w.log.next() {
		for len(all) > 0 {
			var group []*request
			group, all = split(all)
			w.carryOut(group)
			w.signSometimes()
		}
	}
	if w.timer != nil {
		w.timer.Stop()
	}
}

// split takes from the front what is done together, and leaves out those whose callers have gone.
func split(all []*request) (group, rest []*request) {
	bytes := 0
	for i, r := range all {
		bytes += len(r.body)
		if len(group) > 0 && (r.alone != nil || len(group) == maxGroup || bytes > maxGroupBytes) {
			return group, all[i:]
		}
		if !r.taken.CompareAndSwap(false, true) {
			continue
		}
		group = append(group, r)
		if r.alone != nil {
			return group, all[i+1:]
		}
	}
	return group, nil
}

func (w *writer) carryOut(group []*request) {
	err := w.broken
	switch {
	case err != nil || len(group) == 0:
	case group[0].alone != nil:
		err = group[0].alone(w)
	default:
		err = w.append(group)
	}
	for _, r := range group {
		r.err = err
		close(r.done)
	}
}

// append stores a group. The tree comes after the sync, so that a hash there proves that its entry was on disk.
func (w *writer) append(group []*request) error {
	w.records, w.bodies = w.records[:0], w.bodies[:0]
	end := w.detailsEnd
	now := w.now().UnixNano()
	for i, r := range group {
		r.record.index, r.record.at, r.record.off = w.edge.n+int64(i), now, end
		var b [recordSize]byte
		r.record.put(b[:])
		w.records = append(w.records, b[:]...)
		w.bodies = append(w.bodies, r.body...)
		end = r.record.end()
	}
	_, err := w.files.details.WriteAt(w.bodies, w.detailsEnd)
	if err == nil {
		_, err = w.files.entries.WriteAt(w.records, w.edge.n*recordSize)
	}
	if err != nil { // as when the disk is full
		undone := errors.Join(w.files.entries.Truncate(w.edge.n*recordSize), w.files.details.Truncate(w.detailsEnd))
		if undone != nil {
			return w.fail(errors.Join(err, undone))
		}
		return fmt.Errorf("audit: writing to the disk; nothing was stored: %w", err)
	}
	if err := w.syncBoth(w.files.details, w.files.entries); err != nil {
		return w.fail(err)
	}
	if err := w.grow(w.records); err != nil {
		return w.fail(err)
	}
	w.detailsEnd = end
	w.log.size.Store(w.edge.n)
	return nil
}

// grow adds records to the tree and its file.
func (w *writer) grow(records []byte) error {
	at := tlog.StoredHashCount(w.edge.n)
	w.hashes = w.hashes[:0]
	for ; len(records) > 0; records = records[recordSize:] {
		w.hashes = w.edge.push(tlog.RecordHash(records[:leafSize]), w.hashes)
	}
	b := make([]byte, 0, len(w.hashes)*tlog.HashSize)
	for _, h := range w.hashes {
		b = append(b, h[:]...)
	}
	_, err := w.files.tree.WriteAt(b, at*tlog.HashSize)
	return err
}

func (w *writer) syncBoth(a, b *os.File) error {
	other := make(chan error, 1)
	go func() { other <- w.files.sync(a) }()
	err := w.files.sync(b)
	return errors.Join(err, <-other)
}

// fail makes all later requests fail: nobody knows what is on disk.
func (w *writer) fail(err error) error {
	w.broken = fmt.Errorf("%w: %w", ErrBroken, err)
	return w.broken
}

// signSometimes signs a checkpoint when enough entries have none, and sees to it that one is signed when they get old.
func (w *writer) signSometimes() {
	fresh := w.edge.n - w.signed
	if fresh == 0 || w.broken != nil {
		return
	}
	if fresh >= w.every && w.edge.n >= w.tryAt {
		_ = w.signOrTell()
		return
	}
	if w.timer == nil {
		w.timer = time.AfterFunc(w.after, func() {
			_ = w.log.enqueue(&request{done: make(chan struct{}), alone: (*writer).signOld}, false) // after Close there is nothing to sign
		})
	}
}

func (w *writer) signOld() error {
	w.timer = nil
	return w.signOrTell()
}

func (w *writer) signOrTell() error {
	_, err := w.sign()
	if err != nil {
		w.tryAt = w.edge.n + w.every
		w.logger.Error("audit: no checkpoint was signed", "error", err, "entries", w.edge.n, "signed", w.signed)
	}
	return err
}
