package segment

import (
	"encoding/binary"
	"time"

	"github.com/liveim/im"
)

// RoomInfo is what a sealed file knows of one room and epoch.
type RoomInfo struct {
	Room, Epoch string
	// First and Last are the positions of the oldest and the newest event, 0 if there are none.
	First, Last uint64
	// Events is how many events there are, DurableEvents how many of them are not volatile.
	Events, DurableEvents int
	// FirstDurable and LastDurable are the positions of the oldest and the newest event that is not volatile, 0 for none.
	FirstDurable, LastDurable uint64
	// Bytes is how long the events are, uncompressed.
	Bytes int64
	// Oldest and Newest are the lowest and the highest Event.At. Zero if there are no events.
	Oldest, Newest time.Time
	// FirstVolatiles and FirstDurables are the counts that the oldest event carries, Volatiles and Durables the highest
	// that an event or the Meta record carries.
	FirstVolatiles, FirstDurables uint64
	Volatiles, Durables           uint64
	// Head is the highest position of an event, a snapshot or the Meta record; Reserve that of the Reserve record.
	Head, Reserve uint64
	// Trimmed is that of the Meta record.
	Trimmed uint64
	// HasMeta and HasSnapshot say that there are such records. Snapshot is the snapshot's position.
	HasMeta, HasSnapshot bool
	Snapshot             uint64
	// Aborts are the positions of abort records, in the order of the file.
	Aborts []uint64
}

// entry is a room and epoch in the directory of a sealed file.
type entry struct {
	RoomInfo
	dir    *directory // which says where its blocks are
	events []*part    // in rising order of position
	others []*part
}

// empty tells that nothing of the room is in the file.
func (e *entry) empty() bool { return len(e.events) == 0 && len(e.others) == 0 }

// note counts a record in.
func (e *entry) note(r *Record, size int) {
	switch r.Type {
	case Event:
		e.noteEvent(r, size)
	case Snapshot:
		e.HasSnapshot, e.Snapshot = true, max(e.Snapshot, r.Seq)
		e.Head = max(e.Head, r.Seq)
	case Meta:
		e.HasMeta, e.Trimmed = true, max(e.Trimmed, r.Trimmed)
		e.Head = max(e.Head, r.Seq)
		e.Volatiles, e.Durables = max(e.Volatiles, r.Volatiles), max(e.Durables, r.Durables)
	case Reserve:
		e.Reserve = max(e.Reserve, r.Seq)
	case Abort:
		e.Aborts = append(e.Aborts, r.Seq)
	}
}

func (e *entry) noteEvent(r *Record, size int) {
	if e.Events == 0 {
		e.First, e.FirstVolatiles, e.FirstDurables = r.Seq, r.Volatiles, r.Durables
		e.Oldest, e.Newest = r.Event.At, r.Event.At
	}
	e.Events++
	e.Last, e.Head = r.Seq, max(e.Head, r.Seq)
	e.Bytes += int64(size)
	e.Volatiles, e.Durables = max(e.Volatiles, r.Volatiles), max(e.Durables, r.Durables)
	if r.Event.At.Before(e.Oldest) {
		e.Oldest = r.Event.At
	}
	if r.Event.At.After(e.Newest) {
		e.Newest = r.Event.At
	}
	if r.Event.Class == im.Volatile {
		return
	}
	if e.DurableEvents == 0 {
		e.FirstDurable = r.Seq
	}
	e.DurableEvents++
	e.LastDurable = r.Seq
}

// numbers are the fields that are written as uvarints, in their order in the file.
func (e *entry) numbers() []*uint64 {
	return []*uint64{
		&e.First, &e.Last, &e.FirstDurable, &e.LastDurable, &e.FirstVolatiles, &e.FirstDurables,
		&e.Volatiles, &e.Durables, &e.Head, &e.Reserve, &e.Trimmed, &e.Snapshot,
	}
}

const (
	flagMeta = 1 << iota
	flagSnapshot
)

func appendEntry(b []byte, e *entry) []byte {
	b = appendString(b, e.Room)
	b = appendString(b, e.Epoch)
	var flags byte
	if e.HasMeta {
		flags |= flagMeta
	}
	if e.HasSnapshot {
		flags |= flagSnapshot
	}
	b = append(b, flags)
	for _, n := range e.numbers() {
		b = binary.AppendUvarint(b, *n)
	}
	for _, n := range []uint64{uint64(e.Events), uint64(e.DurableEvents), uint64(e.Bytes)} {
		b = binary.AppendUvarint(b, n)
	}
	for _, t := range []time.Time{e.Oldest, e.Newest} {
		b = binary.AppendVarint(b, t.Unix())
		b = binary.AppendUvarint(b, uint64(t.Nanosecond()))
	}
	b = binary.AppendUvarint(b, uint64(len(e.Aborts)))
	for _, seq := range e.Aborts {
		b = binary.AppendUvarint(b, seq)
	}
	return appendParts(appendParts(b, e.events), e.others)
}

// decodeEntry takes an entry off the front of a page. Its blocks are below the given number.
func decodeEntry(d *decoder, blocks int) *entry {
	e := &entry{}
	e.Room, e.Epoch = d.str(), d.str()
	flags := d.byte()
	e.HasMeta, e.HasSnapshot = flags&flagMeta != 0, flags&flagSnapshot != 0
	for _, n := range e.numbers() {
		*n = d.uvarint()
	}
	e.Events, e.DurableEvents, e.Bytes = int(d.uvarint()), int(d.uvarint()), int64(d.uvarint())
	for _, t := range []*time.Time{&e.Oldest, &e.Newest} {
		sec, nsec := d.varint(), d.uvarint()
		*t = time.Unix(sec, int64(nsec%1e9)).UTC()
	}
	for range d.count(1) {
		e.Aborts = append(e.Aborts, d.uvarint())
	}
	e.events = decodeParts(d, blocks)
	e.others = decodeParts(d, blocks)
	return e
}

func appendParts(b []byte, parts []*part) []byte {
	b = binary.AppendUvarint(b, uint64(len(parts)))
	for _, p := range parts {
		b = binary.AppendUvarint(b, uint64(p.block))
		b = binary.AppendUvarint(b, uint64(p.start))
		b = binary.AppendUvarint(b, uint64(p.end-p.start))
		b = binary.AppendUvarint(b, p.first)
		b = binary.AppendUvarint(b, p.last-p.first)
	}
	return b
}

func decodeParts(d *decoder, blocks int) []*part {
	n := d.count(5)
	if n == 0 {
		return nil
	}
	all, parts := make([]part, n), make([]*part, n)
	for i := range all {
		block, start, length, first, more := d.uvarint(), d.uvarint(), d.uvarint(), d.uvarint(), d.uvarint()
		if block >= uint64(blocks) || start > maxPayload+frameBytes || length > maxPayload+frameBytes {
			d.fail()
			return nil
		}
		all[i] = part{uint32(block), uint32(start), uint32(start + length), first, first + more}
		parts[i] = &all[i]
	}
	return parts
}

// decodePage reads all entries of a page of rooms.
func decodePage(payload []byte, blocks int) ([]*entry, error) {
	d := decoder{b: payload}
	var entries []*entry
	for len(d.b) > 0 {
		entries = append(entries, decodeEntry(&d, blocks))
	}
	return entries, d.end("a page of rooms")
}
