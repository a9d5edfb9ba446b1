package segment

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/liveim/im/storage/filelog/internal/disk"
)

// Recovery is what was found in an active file.
type Recovery struct {
	Number uint64
	// Damage is the damaged places that have records after them, and damaged copies of the header.
	Damage []Damage
	// Tail is what lies after the last good frame, or nil: the torn end of a write, or damage to the last frames, which
	// nobody can tell apart. Recover cuts it off. Its Rooms are those of records in it that could be read. The zeros that
	// Active.Fill wrote ahead are none, whether they follow a good frame or a torn one; Recover cuts them off too.
	Tail *Damage
	// Cut is how many bytes were cut off, those of Tail.
	Cut int64
	// Closed says that the log was closed cleanly and that nothing lies after that.
	Closed bool
	// Records is how many records were found.
	Records int
}

// Recover opens an active file: it reads all of it, calls fn with each record in the order of the file, cuts off what lies
// after the last good frame, and syncs the file. fn may keep the record. An error of fn ends it and is returned as it is. Of a damaged
// frame fn gets the records whose own checksums are good. Damage is not an error; a file without any good frame becomes
// an empty one. It fails if the end of the file cannot be read, so that nothing is cut off that may be there
// tomorrow, and with ErrVersion for newer files.
func Recover(fsys disk.FS, path string, fn func(Record, Ref) error) (*Active, Recovery, error) {
	file, err := fsys.OpenWrite(path)
	if err != nil {
		return nil, Recovery{}, fmt.Errorf("open a segment: %w", err)
	}
	r := recovery{path: path, take: decoded(fn), ctx: context.Background()}
	if err = r.run(file); err == nil {
		err = r.cut(file)
	}
	if err != nil {
		file.Close()
		return nil, r.Recovery, err
	}
	return newActive(fsys, path, file, r.head, r.end, uint32(r.next)), r.Recovery, nil
}

// Scan reads an active file as Recover does, and changes nothing. It may run while the file is written to, by another
// process too: what is being written then is the Tail. Cut is 0.
func Scan(ctx context.Context, fsys disk.FS, path string, fn func(Record, Ref) error) (Recovery, error) {
	file, err := fsys.Open(path)
	if err != nil {
		return Recovery{}, fmt.Errorf("open a segment: %w", err)
	}
	defer file.Close()
	r := recovery{path: path, take: decoded(fn), ctx: ctx}
	err = r.run(file)
	return r.Recovery, err
}

// taker takes the encoded form of a record, which is good until it returns. It returns the type, or 0 if that is no record.
type taker func(body []byte, ref Ref) (Type, error)

// decoded hands records to fn.
func decoded(fn func(Record, Ref) error) taker {
	return func(body []byte, ref Ref) (Type, error) {
		rec, err := decodeRecord(body)
		if err != nil {
			return 0, nil
		}
		return rec.Type, fn(rec, ref)
	}
}

// recovery is one run over an active file.
type recovery struct {
	Recovery
	path string
	take taker
	ctx  context.Context
	turn func() // called between frames, if it is set

	w    *window
	head head
	ok   bool  // the header is known
	end  int64 // of the last good frame
	next int64 // the number after that frame's

	synced uint64 // how much of the file is known to have been synced

	damage []Damage // since the last good frame: what it is depends on whether another follows
	bad    []found  // the frames among it whose header is good
}

func (r *recovery) run(file disk.File) error {
	size, err := file.Size()
	if err != nil {
		return fmt.Errorf("read a segment: %w", err)
	}
	r.w = newWindow(file, size)
	r.head, r.Damage, r.ok, err = readHead(r.w, r.path, ActiveFile)
	if err != nil {
		return err
	}
	if !r.ok {
		_, number := ParseName(r.path)
		r.head = newHead(ActiveFile, number)
		if salt, ok := guessSalt(r.w); ok {
			r.head.salt, r.ok = salt, true
		}
	}
	r.Number, r.end = r.head.number, framesBegin
	if err := r.frames(); err != nil {
		return err
	}
	r.tail()
	return nil
}

func (r *recovery) frames() error {
	s := scanner{w: r.w, salt: r.head.salt, at: framesBegin}
	for r.ok {
		if err := r.ctx.Err(); err != nil {
			return err
		}
		if r.turn != nil {
			r.turn()
		}
		before := s.at
		f, err := s.frame()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if f.skipped > 0 {
			r.note(before, f.skipped, "no frame begins here")
		}
		if !f.good {
			r.note(f.offset, frameHead+int64(f.length), fmt.Sprintf("frame %d does not match its checksum", f.number))
			f.payload = nil
			r.bad = append(r.bad, f)
			continue
		}
		if err := r.good(&f); err != nil {
			return err
		}
	}
	return nil
}

func (r *recovery) note(offset, length int64, reason string) {
	r.damage = append(r.damage, Damage{File: r.path, Offset: offset, Length: length, Reason: reason, Lost: true, Err: r.w.failure(offset, length)})
}

// good takes the records of a frame, and before that those which are left of the damage that it now is known to follow.
func (r *recovery) good(f *found) error {
	for i := range r.damage {
		d := &r.damage[i]
		if j := r.badAt(d.Offset); j >= 0 {
			rooms := spans{}
			if err := r.salvage(&r.bad[j], rooms, r.take); err != nil {
				return err
			}
			d.Rooms = rooms.list()
		}
	}
	if missing := int64(f.number) - r.next - int64(len(r.bad)); missing > 0 && len(r.damage) > 0 {
		d := &r.damage[len(r.damage)-1]
		d.Reason += fmt.Sprintf("; %d frames are missing before frame %d", missing, f.number)
	}
	r.Damage, r.damage, r.bad = append(r.Damage, r.damage...), nil, nil
	payload := r.w.upTo(f.offset, frameHead+int(f.length))[frameHead:] // again: salvage has moved the window
	r.synced = max(r.synced, f.synced)
	r.end, r.next = f.end(), int64(f.number)+1
	whole, err := r.records(payload, f.offset+frameHead, r.take)
	if err == nil && !whole {
		r.note(f.offset, frameHead+int64(f.length), fmt.Sprintf("frame %d holds what this version cannot read", f.number))
		r.Damage, r.damage = append(r.Damage, r.damage...), nil
	}
	return err
}

func (r *recovery) badAt(offset int64) int {
	for i := range r.bad {
		if r.bad[i].offset == offset {
			return i
		}
	}
	return -1
}

// salvage reads the records of a damaged frame that are good by their own checksums. Without take it only notes their rooms.
func (r *recovery) salvage(f *found, rooms spans, take taker) error {
	payload := r.w.upTo(f.offset, frameHead+int(f.length))[frameHead:]
	_, err := r.records(payload, f.offset+frameHead, func(body []byte, ref Ref) (Type, error) {
		s, err := skim(body)
		if err != nil {
			return 0, nil
		}
		rooms.add(&s)
		if take == nil {
			return s.kind, nil
		}
		return take(body, ref)
	})
	return err
}

// records has each good record of a payload that begins at a place taken. whole says that there was nothing else.
func (r *recovery) records(payload []byte, at int64, take taker) (whole bool, err error) {
	whole = true
	for len(payload) > 0 {
		body, length, ok := cutChecked(payload)
		if length == 0 {
			return false, nil
		}
		var kind Type
		if ok {
			if kind, err = take(body, Ref{Offset: at, Length: uint32(length)}); err != nil {
				return false, err
			}
		}
		if kind == 0 {
			whole = false
		} else {
			r.Records++
			r.Closed = kind == Closed
		}
		payload, at = payload[length:], at+int64(length)
	}
	return whole, nil
}

// tail looks at what follows the last good frame.
func (r *recovery) tail() {
	for i := range r.Damage {
		r.Damage[i].Torn = r.Damage[i].Lost && uint64(r.Damage[i].Offset) >= r.synced
	}
	length := r.tailLength()
	if length <= 0 {
		return
	}
	r.Tail = &Damage{File: r.path, Offset: r.end, Length: length, Reason: "no good frame follows", Lost: true, Torn: true, Err: r.w.failure(r.end, length)}
	if len(r.bad) > 0 {
		r.Tail.Reason = r.damage[len(r.damage)-1].Reason + ", and no good frame follows"
	}
	rooms, records := spans{}, r.Records
	for i := range r.bad {
		_ = r.salvage(&r.bad[i], rooms, nil) // without take it does not fail
	}
	r.Tail.Rooms, r.Records, r.Closed = rooms.list(), records, false
}

// tailLength is how much follows the last good frame, without zeros that were written ahead. Fewer bytes other than zero than
// the magic of a frame has, among zeros, are no write: some bit of the zeros has flipped, or what a loss of power left of
// a frame is less than its first bytes. No event is lost with either.
func (r *recovery) tailLength() int64 {
	length := r.w.size - r.end
	if length <= 0 {
		return 0
	}
	var others, last int64 // how many are not zero, and the end of the last of them
	for at := r.end; at < r.w.size; {
		b := r.w.upTo(at, windowBytes)
		if n := int64(len(b) - bytes.Count(b, []byte{0})); n > 0 {
			others += n
			last = at + int64(len(bytes.TrimRight(b, "\x00")))
		}
		at += int64(len(b))
	}
	if r.w.failure(r.end, length) != nil {
		return length // it was taken for zeros
	}
	if others <= int64(len(frameMagic)) && others < length {
		return 0
	}
	// Whole sectors: the last bytes of a frame may be zeros.
	return min(length, last-r.end+sectorBytes-1-(last-1)%sectorBytes)
}

// cut takes the tail off, so that what is written next follows the last good frame. It syncs in any case: what a process
// left behind that was killed may not be on disk yet, and from now on it counts.
func (r *recovery) cut(file disk.File) error {
	if err := r.w.failure(r.end, max(1, r.w.size-r.end)); err != nil {
		return fmt.Errorf("%s cannot be read from byte %d on, and nothing is cut off that may be good: repair the disk, or move the file away: %w", r.path, r.end, err)
	}
	if !r.ok || r.w.size < framesBegin {
		if err := r.w.failure(0, framesBegin); err != nil {
			return fmt.Errorf("the header of %s cannot be read: repair the disk, or move the file away: %w", r.path, err)
		}
		if _, err := file.WriteAt(r.head.append(nil), 0); err != nil {
			return fmt.Errorf("write the header of a segment anew: %w", err)
		}
	}
	if r.w.size > r.end {
		if err := file.Truncate(r.end); err != nil {
			return fmt.Errorf("cut the torn end off a segment: %w", err)
		}
	}
	if r.Tail != nil {
		r.Cut = r.Tail.Length
	}
	if err := file.Sync(); err != nil {
		return fmt.Errorf("sync a segment that was left: %w", err)
	}
	return nil
}
