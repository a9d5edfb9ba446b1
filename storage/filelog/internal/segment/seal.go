package segment

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/liveim/im"
	"github.com/liveim/im/storage/filelog/internal/disk"
)

// Seal makes the sealed file of a number: from the active file of that number, or, if that is gone, from the sealed one
// that is there, to leave out what is dropped. drop says which records to leave out; nil means none. It gets each record once, in
// the order of rooms (by bytes) and epochs, the events of one last and in the order of their positions. Of an event it sees the
// class, the time, the position and the counts, which it may put right; it must not keep the record. The new file is on disk, and in the place of the sealed one of before, when Seal returns. The active
// file is left where it is: remove it with Active.Remove when nobody reads it any more. A Sealed that is open on the
// file of before goes on reading that (on Windows it must be closed first).
//
// Damage is the places of the source that could not be read; the new file remembers those. After an error the source is as it
// was. Seal ends with ctx. It holds about 60 bytes per record in memory, and 16 MiB of records at a time. It lets others run
// often: nobody waits for it.
func Seal(ctx context.Context, fsys disk.FS, dir string, number uint64, drop func(*Record) bool, cache *Cache) (*Sealed, []Damage, error) {
	path := filepath.Join(dir, SealedName(number))
	temp := path + tempExt
	if err := fsys.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("seal a segment: %w", err)
	}
	file, err := fsys.Create(temp)
	if err != nil {
		return nil, nil, fmt.Errorf("seal a segment: %w", err)
	}
	s := newSealer(ctx, file, newHead(SealedFile, number), drop)
	damage, err := s.run(fsys, dir, number)
	err = errors.Join(err, file.Close())
	if err == nil {
		err = fsys.Rename(temp, path)
	}
	if err != nil {
		if again := fsys.Remove(temp); again != nil && !errors.Is(again, fs.ErrNotExist) {
			err = errors.Join(err, again)
		}
		return nil, damage, fmt.Errorf("seal segment %d: %w", number, err)
	}
	if err := fsys.SyncDir(dir); err != nil {
		return nil, damage, fmt.Errorf("seal segment %d: %w", number, err)
	}
	sealed, _, err := Open(fsys, path, cache)
	return sealed, damage, err
}

// sealer writes a sealed file. It takes records sorted by room and epoch.
type sealer struct {
	ctx    context.Context
	drop   func(*Record) bool
	file   disk.File
	head   head
	out    *frameWriter
	events blockWriter
	others blockWriter

	entries []*entry
	ids     []idEntry
	past    []Damage // that the source knew of
	current *entry
	alone   bool // the current room has blocks of its own

	rec    Record // the event that drop is asked about
	ev     im.Event
	counts []byte // of event: the encoded form with other counts
}

// raw is a record and its encoded form.
type raw struct {
	rec  Record
	body []byte
}

func newSealer(ctx context.Context, file disk.File, h head, drop func(*Record) bool) *sealer {
	if drop == nil {
		drop = func(*Record) bool { return false }
	}
	out := &frameWriter{w: file, salt: h.salt, at: framesBegin}
	return &sealer{
		ctx: ctx, drop: drop, file: file, head: h, out: out,
		events: blockWriter{kind: blockFrame, out: out}, others: blockWriter{kind: otherFrame, out: out},
	}
}

func (s *sealer) run(fsys disk.FS, dir string, number uint64) (damage []Damage, err error) {
	if _, err := s.file.WriteAt(s.head.append(nil), 0); err != nil {
		return nil, err
	}
	active := filepath.Join(dir, ActiveName(number))
	source, err := fsys.Open(active)
	switch {
	case err == nil:
		damage, err = s.fromActive(source, active)
		err = errors.Join(err, source.Close())
	case errors.Is(err, fs.ErrNotExist):
		damage, err = s.fromSealed(fsys, filepath.Join(dir, SealedName(number)))
	}
	if err == nil {
		err = errors.Join(s.events.flush(), s.others.flush())
	}
	if err != nil {
		return damage, err
	}
	past := slices.DeleteFunc(slices.Clone(damage), func(d Damage) bool { return !d.Lost })
	past = append(s.past, past...)
	_, index, err := writeDirectory(s.out, s.entries, s.ids, past)
	if err != nil {
		return damage, err
	}
	if _, err := s.file.WriteAt(trailer{Version, index, s.head.salt}.append(nil), s.out.at); err != nil {
		return damage, err
	}
	return damage, s.file.Sync()
}

// begin starts a room and epoch whose events have about so many bytes.
func (s *sealer) begin(room, epoch string, bytes int64) error {
	s.current = &entry{RoomInfo: RoomInfo{Room: room, Epoch: epoch}}
	s.alone = bytes >= frameBytes
	if s.alone || int64(len(s.events.raw))+bytes > frameBytes {
		if err := s.events.flush(); err != nil {
			return err
		}
	}
	return s.ctx.Err()
}

// rest takes the records of the room that are not events, in the order of the file. Of what replaces each other it keeps the last.
func (s *sealer) rest(records []raw) error {
	var keep []raw
	last := map[Type]int{} // in keep
	for _, r := range records {
		if r.rec.Type == Closed || s.drop(&r.rec) {
			continue
		}
		i, had := last[r.rec.Type]
		switch {
		case !had || r.rec.Type == Abort:
			last[r.rec.Type] = len(keep)
			keep = append(keep, r)
		case r.rec.Type == Meta || r.rec.Seq > keep[i].rec.Seq:
			keep[i] = r
		}
	}
	for _, r := range keep {
		s.current.note(&r.rec, len(r.body))
		if err := s.others.add(&s.current.others, r.body, r.rec.Seq); err != nil {
			return err
		}
	}
	return nil
}

// event takes the next event of the room.
func (s *sealer) event(body []byte) error {
	sk, err := skim(body)
	if err != nil {
		return err
	}
	s.ev = im.Event{Pos: im.Position{Epoch: s.current.Epoch, Seq: sk.seq}, Class: sk.class, At: sk.at}
	s.rec = Record{
		Type: Event, Room: s.current.Room, Epoch: s.current.Epoch, Seq: sk.seq, Event: &s.ev,
		Volatiles: sk.volatiles, Durables: sk.durables,
	}
	r := &s.rec
	if s.drop(r) {
		return nil
	}
	if r.Volatiles != sk.volatiles || r.Durables != sk.durables {
		b := append(s.counts[:0], body[:sk.counts]...)
		b = binary.AppendUvarint(binary.AppendUvarint(b, r.Volatiles), r.Durables)
		s.counts = append(b, body[sk.body:]...)
		body = s.counts
	}
	s.current.note(r, len(body))
	if err := s.events.add(&s.current.events, body, sk.seq); err != nil {
		return err
	}
	s.ids = append(s.ids, idEntry{hashID(s.head.salt, s.current.Room, sk.id), s.current.events[len(s.current.events)-1]})
	return nil
}

// end ends the room.
func (s *sealer) end() error {
	if !s.current.empty() {
		s.entries = append(s.entries, s.current)
	}
	if s.alone {
		return s.events.flush()
	}
	return nil
}

// fromSealed takes the records of a sealed file, which are in order already.
func (s *sealer) fromSealed(fsys disk.FS, path string) ([]Damage, error) {
	source, _, err := Open(fsys, path, NewCache(64*frameBytes))
	if err != nil {
		return nil, err
	}
	defer source.Close()
	s.past = source.dir.Load().past
	for e, err := range source.all() {
		if err == nil {
			err = s.again(source, e)
		}
		if err != nil {
			return source.Damage(), err
		}
	}
	return slices.DeleteFunc(source.Damage(), func(d Damage) bool { return d.Past }), nil
}

// again takes one room and epoch of a sealed file.
func (s *sealer) again(source *Sealed, e *entry) error {
	if err := s.begin(e.Room, e.Epoch, e.Bytes); err != nil {
		return err
	}
	var others []raw
	for body, err := range source.bodies(e, e.others) {
		var rec Record
		if err == nil {
			rec, err = decodeRecord(body)
		}
		if err != nil {
			return err
		}
		others = append(others, raw{rec, body})
	}
	if err := s.rest(others); err != nil {
		return err
	}
	for body, err := range source.bodies(e, e.events) {
		if err == nil {
			err = s.event(body)
		}
		if err != nil {
			return err
		}
	}
	return s.end()
}
