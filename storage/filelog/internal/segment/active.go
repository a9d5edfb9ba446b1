package segment

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/liveim/im/storage/filelog/internal/disk"
)

// Active is a file that is appended to. Write and Sync are for one goroutine at a time each, and may run beside each other;
// the other methods are safe beside everything.
type Active struct {
	fs   disk.FS
	path string
	file disk.File
	head head

	buf    []byte // of Write
	number uint32 // of the next frame
	limit  int64  // of Fill
	filled int64  // where the zeros end that are written ahead, or less than size

	size   atomic.Int64
	synced atomic.Int64
	broken atomic.Bool
	close  func() error // once
}

// WriteError is the error of a Write that failed.
type WriteError struct {
	// CutBack says that the file is as it was before, on disk too: nothing of the records is or will be there, and the
	// Active goes on. Without it the outcome is not known, and the Active takes no more writes.
	CutBack bool
	Err     error
}

func (e *WriteError) Error() string { return "write to the segment: " + e.Err.Error() }

func (e *WriteError) Unwrap() error { return e.Err }

// Create makes the active file of a number, with its header on disk and its name in the directory. It fails with
// fs.ErrExist if the file exists. After another error it has removed the file if it could.
func Create(fsys disk.FS, dir string, number uint64) (*Active, error) {
	path := filepath.Join(dir, ActiveName(number))
	file, err := fsys.Create(path)
	if err != nil {
		return nil, fmt.Errorf("begin a segment: %w", err)
	}
	h := newHead(ActiveFile, number)
	if _, err = file.WriteAt(h.append(nil), 0); err == nil {
		err = file.Sync()
	}
	if err == nil {
		err = fsys.SyncDir(dir)
	}
	if err != nil {
		return nil, fmt.Errorf("begin a segment: %w", errors.Join(err, file.Close(), fsys.Remove(path)))
	}
	return newActive(fsys, path, file, h, framesBegin, 0), nil
}

func newActive(fsys disk.FS, path string, file disk.File, h head, size int64, next uint32) *Active {
	a := &Active{fs: fsys, path: path, file: file, head: h, number: next, close: sync.OnceValue(file.Close)}
	a.size.Store(size)
	a.synced.Store(size)
	return a
}

// Write appends records with one write call, besides those for the zeros of Fill, and returns where each is. They are on disk after the next Sync. The error is a
// *WriteError, or wraps ErrTooLarge or ErrBroken, or names a record that is not one; after the latter three nothing was written.
// The records are not kept.
func (a *Active) Write(records []Record) ([]Ref, error) {
	if a.broken.Load() {
		return nil, fmt.Errorf("%s: %w", a.path, ErrBroken)
	}
	if len(records) == 0 {
		return nil, nil
	}
	at, next := a.size.Load(), a.number
	refs, err := a.encode(records, at)
	if err != nil {
		a.number = next
		return nil, err
	}
	a.fillAfter(at, at+int64(len(a.buf)))
	if _, err := a.file.WriteAt(a.buf, at); err != nil {
		a.number = next
		return nil, &WriteError{CutBack: a.cutBack(at, &err), Err: err}
	}
	a.size.Store(at + int64(len(a.buf)))
	if cap(a.buf) > 16*frameBytes {
		a.buf = nil
	}
	return refs, nil
}

// cutBack undoes what a failed write did. Unless that is on disk too, a later Sync could make part of the write lasting.
func (a *Active) cutBack(to int64, err *error) bool {
	again := a.file.Truncate(to)
	if again == nil {
		again = a.file.Sync()
	}
	if again == nil {
		a.filled = to
		return true
	}
	a.broken.Store(true)
	*err = errors.Join(*err, fmt.Errorf("and cut it back: %w", again))
	return false
}

// encode fills buf with the frames of records, the first of which will lie at a place.
func (a *Active) encode(records []Record, at int64) ([]Ref, error) {
	a.buf = a.buf[:0]
	refs := make([]Ref, len(records))
	frame := -1 // where the current one begins
	for i := range records {
		from := len(a.buf)
		if frame < 0 {
			frame = from
			a.buf = reserveFrame(a.buf)
			from = len(a.buf)
		}
		var err error
		if a.buf, err = appendChecked(a.buf, &records[i]); err != nil {
			return nil, fmt.Errorf("record %d of %d: %w", i+1, len(records), err)
		}
		if n := len(a.buf) - from; len(a.buf)-frame-frameHead > frameBytes && from > frame+frameHead {
			// It does not fit: the frame ends before it, and it moves to make room for a header.
			a.buf = reserveFrame(a.buf)
			copy(a.buf[from+frameHead:], a.buf[from:from+n])
			a.seal(a.buf[frame:from])
			frame, from = from, from+frameHead
		}
		refs[i] = Ref{Offset: at + int64(from), Length: uint32(len(a.buf) - from)}
	}
	a.seal(a.buf[frame:])
	if a.number < math.MaxUint32 {
		return refs, nil
	}
	return nil, fmt.Errorf("%s has no more numbers for frames: %w", a.path, ErrBroken)
}

func (a *Active) seal(frame []byte) {
	putFrame(frame, frameHeader{kind: recordFrame, salt: a.head.salt, synced: uint64(a.synced.Load()), number: a.number})
	a.number++
}

// appendChecked appends a record with its length and its checksum before it.
func appendChecked(b []byte, r *Record) ([]byte, error) {
	const room = binary.MaxVarintLen32 + 4
	from := len(b)
	b = append(b, make([]byte, room)...)
	b, err := appendRecord(b, r)
	if err != nil {
		return b, err
	}
	body := b[from+room:]
	if len(body) > MaxRecord {
		return b, fmt.Errorf("it has %d bytes: %w", len(body), ErrTooLarge)
	}
	prefix := binary.AppendUvarint(b[from:from], uint64(len(body)))
	prefix = binary.LittleEndian.AppendUint32(prefix, checksum(body))
	n := copy(b[from+len(prefix):], body)
	return b[:from+len(prefix)+n], nil
}

// cutChecked takes a record off the front of b: its body, and how long it was with what lies before it. The length is 0
// if it is not known where the record ends; ok says that the body is what was written.
func cutChecked(b []byte) (body []byte, length int, ok bool) {
	d := decoder{b: b}
	n := d.uvarint()
	sum := d.uint32()
	body = d.take(n)
	if d.bad {
		return nil, 0, false
	}
	return body, len(b) - len(d.b), sum == checksum(body)
}

// Sync has what Write returned for on disk. After an error the Active takes no more writes or syncs.
func (a *Active) Sync() error {
	if a.broken.Load() {
		return fmt.Errorf("%s: %w", a.path, ErrBroken)
	}
	size := a.size.Load()
	if err := a.file.Sync(); err != nil {
		a.broken.Store(true)
		return fmt.Errorf("sync the segment: %w", err)
	}
	a.synced.Store(size)
	return nil
}

// Read reads one record. The error wraps ErrDamaged if its bytes are not those that were written.
func (a *Active) Read(ref Ref) (Record, error) {
	r, err := readRef(a.file, ref)
	if err != nil {
		return Record{}, fmt.Errorf("read %d bytes at %d of %s: %w", ref.Length, ref.Offset, a.path, err)
	}
	return r, nil
}

func readRef(r readerAt, ref Ref) (Record, error) {
	if ref.Length > maxPayload {
		return Record{}, ErrDamaged
	}
	b := make([]byte, ref.Length)
	if err := readFull(r, b, ref.Offset); err != nil {
		return Record{}, err
	}
	body, length, ok := cutChecked(b)
	if !ok || length != len(b) {
		return Record{}, ErrDamaged
	}
	return decodeRecord(body)
}

// Size is how long the file is in bytes, what is not synced included and the zeros of Fill not.
func (a *Active) Size() int64 { return a.size.Load() }

// Synced is how many of these bytes are known to be on disk.
func (a *Active) Synced() int64 { return a.synced.Load() }

// Number is the number of the segment.
func (a *Active) Number() uint64 { return a.head.number }

// Name is the path of the file.
func (a *Active) Name() string { return a.path }

// Close closes the file without a sync and without a Trim. It may be called more than once.
func (a *Active) Close() error { return a.close() }

// Remove closes the file and removes it from the directory, lastingly. It is for after Seal.
func (a *Active) Remove() error { return remove(a.fs, a.path, a.Close()) }

func remove(fsys disk.FS, path string, closing error) error {
	if err := errors.Join(closing, fsys.Remove(path)); err != nil {
		return err
	}
	return fsys.SyncDir(filepath.Dir(path))
}
