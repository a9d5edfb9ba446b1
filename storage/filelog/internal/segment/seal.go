package segment

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/liveim/im/storage/filelog/internal/disk"
)

// Seal makes the sealed file of a number: from the active file of that number, or, if that is gone, from the sealed one
// that is there, to leave out what is dropped. drop says which records to leave out; nil means none. It gets each record once, in
// the order of rooms (by bytes) and epochs, the events of one last and in the order of their positions; it may put the
// counts of an event right, and must not keep the record. The new file is on disk, and in the place of the sealed one of before, when Seal returns. The active
// file is left where it is: remove it with Active.Remove when nobody reads it any more. A Sealed that is open on the
// file of before goes on reading that (on Windows it must be closed first).
//
// Damage is the places of the source that could not be read; the new file remembers those. After an error the source is as it
// was. Seal ends with ctx. It holds about 50 bytes per record in memory.
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
func (s *sealer) event(r *Record, body []byte) error {
	written := [2]uint64{r.Volatiles, r.Durables}
	if s.drop(r) {
		return nil
	}
	if written != [2]uint64{r.Volatiles, r.Durables} {
		var err error
		if body, err = appendRecord(nil, r); err != nil {
			return err
		}
	}
	s.current.note(r, len(body))
	if err := s.events.add(&s.current.events, body, r.Seq); err != nil {
		return err
	}
	s.ids = append(s.ids, idEntry{hashID(s.head.salt, r.Room, r.Event.ID), s.current.events[len(s.current.events)-1]})
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

// item is a record of an active file that is to be sorted.
type item struct {
	seq   uint64
	ref   Ref
	group uint32 // of the room and epoch, in the order of the file
	event bool
}

func (s *sealer) fromActive(file disk.File, path string) ([]Damage, error) {
	var items []item
	groups := map[[2]string]uint32{}
	var names [][2]string
	scan := recovery{path: path, ctx: s.ctx, fn: func(r Record, ref Ref) error {
		name := [2]string{r.Room, r.Epoch}
		group, ok := groups[name]
		if !ok {
			name = [2]string{string([]byte(r.Room)), string([]byte(r.Epoch))} // without the rest of the record
			group = uint32(len(names))
			groups[name], names = group, append(names, name)
		}
		items = append(items, item{r.Seq, ref, group, r.Type == Event})
		return nil
	}}
	if err := scan.run(file); err != nil {
		return nil, err
	}
	if err := s.sorted(file, items, names); err != nil {
		return nil, err
	}
	if scan.Tail != nil {
		scan.Damage = append(scan.Damage, *scan.Tail)
	}
	return scan.Damage, nil
}

// sorted takes the records of an active file by room and epoch.
func (s *sealer) sorted(file disk.File, items []item, names [][2]string) error {
	rank := make([]uint32, len(names)) // of groups
	order := make([]uint32, len(names))
	for i := range order {
		order[i] = uint32(i)
	}
	slices.SortStableFunc(order, func(a, b uint32) int { return cmp.Compare(names[a][0], names[b][0]) })
	for i, group := range order {
		rank[group] = uint32(i)
	}
	slices.SortStableFunc(items, func(a, b item) int {
		switch {
		case a.group != b.group:
			return cmp.Compare(rank[a.group], rank[b.group])
		case a.event && b.event:
			return cmp.Compare(a.seq, b.seq)
		case a.event != b.event && b.event:
			return -1
		case a.event != b.event:
			return 1
		}
		return 0
	})
	for len(items) > 0 {
		n := 1
		for n < len(items) && items[n].group == items[0].group {
			n++
		}
		if err := s.group(file, items[:n], names[items[0].group]); err != nil {
			return err
		}
		items = items[n:]
	}
	return nil
}

// group takes the records of one room and epoch: the events last.
func (s *sealer) group(file disk.File, items []item, name [2]string) error {
	events := slices.IndexFunc(items, func(i item) bool { return i.event })
	if events < 0 {
		events = len(items)
	}
	var bytes int64
	for _, i := range items[events:] {
		bytes += int64(i.ref.Length)
	}
	if err := s.begin(name[0], name[1], bytes); err != nil {
		return err
	}
	var others []raw
	for _, i := range items[:events] {
		rec, body, err := readRef(file, i.ref)
		if err != nil {
			return err
		}
		others = append(others, raw{rec, body})
	}
	if err := s.rest(others); err != nil {
		return err
	}
	for _, i := range items[events:] {
		rec, body, err := readRef(file, i.ref)
		if err == nil {
			err = s.event(&rec, body)
		}
		if err != nil {
			return err
		}
	}
	return s.end()
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
		var rec Record
		if err == nil {
			rec, err = decodeRecord(body)
		}
		if err == nil {
			err = s.event(&rec, body)
		}
		if err != nil {
			return err
		}
	}
	return s.end()
}
