package segment

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/liveim/im"
)

// A record is encoded as its type, Seq, Room and Epoch, and what its type adds. Strings have their length before them;
// bytes that may be nil have their length and 1, or 0.

func appendRecord(b []byte, r *Record) ([]byte, error) {
	b = append(b, byte(r.Type))
	b = binary.AppendUvarint(b, r.Seq)
	b = appendString(b, r.Room)
	b = appendString(b, r.Epoch)
	switch r.Type {
	case Event:
		if r.Event == nil {
			return b, fmt.Errorf("a record of type Event without one: set Record.Event")
		}
		b = appendEvent(b, r.Event)
		b = binary.AppendUvarint(b, r.Volatiles)
		b = binary.AppendUvarint(b, r.Durables)
		return appendOptional(b, r.Event.Body), nil
	case Snapshot:
		return appendOptional(b, r.Data), nil
	case Meta:
		b = binary.AppendUvarint(b, r.Trimmed)
		b = binary.AppendUvarint(b, r.Volatiles)
		return binary.AppendUvarint(b, r.Durables), nil
	case Abort, Reserve, Closed:
		return b, nil
	}
	return b, fmt.Errorf("a record of type %d: use one of the types of this package", r.Type)
}

// appendEvent appends all but the body, which comes last so that what differs least lies together.
func appendEvent(b []byte, ev *im.Event) []byte {
	b = append(b, byte(ev.Class))
	b = appendString(b, ev.Kind)
	b = appendString(b, ev.ID)
	b = binary.AppendVarint(b, ev.At.Unix())
	b = binary.AppendUvarint(b, uint64(ev.At.Nanosecond()))
	b = appendString(b, ev.From.ID)
	b = appendString(b, ev.From.Name)
	b = binary.AppendVarint(b, int64(ev.N))
	return appendString(b, ev.Digest)
}

func appendOptional(b, data []byte) []byte {
	if data == nil {
		return append(b, 0)
	}
	return append(binary.AppendUvarint(b, uint64(len(data))+1), data...)
}

// decodeRecord reads what appendRecord wrote, all of b.
func decodeRecord(b []byte) (Record, error) {
	d := decoder{b: b}
	r := Record{Type: Type(d.byte()), Seq: d.uvarint()}
	if r.Type == Event {
		decodeEvent(&d, &r)
		return r, d.end("an event")
	}
	r.Room, r.Epoch = d.str(), d.str()
	switch r.Type {
	case Snapshot:
		r.Data = slices.Clone(optional(&d))
	case Meta:
		r.Trimmed, r.Volatiles, r.Durables = d.uvarint(), d.uvarint(), d.uvarint()
	case Abort, Reserve, Closed:
	default:
		return Record{}, fmt.Errorf("a record has type %d, which this version does not know: %w", r.Type, ErrDamaged)
	}
	return r, d.end("a record")
}

// The texts of an event, in the order in which they lie.
const (
	textRoom = iota
	textEpoch
	textKind
	textID
	textFromID
	textFromName
	textDigest
	texts
)

// decodeEvent copies the texts of an event at once: they live and die together.
func decodeEvent(d *decoder, r *Record) {
	start := d.b
	var ends, lengths [texts]int
	skip := func(i int) {
		lengths[i] = len(d.bytes())
		ends[i] = len(start) - len(d.b)
	}
	skip(textRoom)
	skip(textEpoch)
	class := d.byte()
	skip(textKind)
	skip(textID)
	sec, nsec := d.varint(), d.uvarint()
	skip(textFromID)
	skip(textFromName)
	n := d.varint()
	skip(textDigest)
	r.Volatiles, r.Durables = d.uvarint(), d.uvarint()
	body := optional(d)
	if nsec >= 1e9 || int64(int(n)) != n {
		d.fail()
	}
	if d.bad {
		return
	}
	all := string(start[:ends[textDigest]])
	text := func(i int) string { return all[ends[i]-lengths[i] : ends[i]] }
	r.Room, r.Epoch = text(textRoom), text(textEpoch)
	r.Event = &im.Event{
		Pos: im.Position{Epoch: r.Epoch, Seq: r.Seq}, ID: text(textID), Kind: im.Kind(text(textKind)), Class: im.Class(class),
		At: time.Unix(sec, int64(nsec)).UTC(), From: im.Author{ID: text(textFromID), Name: text(textFromName)},
		Body: slices.Clone(body), N: int(n), Digest: text(textDigest),
	}
}

// peek reads the type and the position of a record, which is enough to pass it over.
func peek(b []byte) (Type, uint64) {
	d := decoder{b: b}
	return Type(d.byte()), d.uvarint()
}

func optional(d *decoder) []byte {
	n := d.uvarint()
	if n == 0 {
		return nil
	}
	return d.take(n - 1)
}
