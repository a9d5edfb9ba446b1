package segment

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
)

// Damage is a place in a file whose bytes are not those that were written, or cannot be read.
type Damage struct {
	File   string // the path, as it was given
	Offset int64
	Length int64
	// Reason says what is wrong, as a part of a sentence.
	Reason string
	// Rooms says what the place held, as far as that is known: the room, and the first and the last position that it
	// may have held of it. For an active file these are records that were read beside the damage, which are not lost.
	Rooms []Span
	// Lost says that records are gone. Without it what was damaged could be had from elsewhere: from a second copy, or
	// by reading all blocks.
	Lost bool
	// Torn says, of an active file, that nothing in it proves that the place was ever synced: a write that a loss of power
	// tore looks so, and none of it was acknowledged then. It is known only until more was written.
	Torn bool
	// Past says that this was found when the file was made from another one: the bytes themselves are gone.
	Past bool
	// Err is the error of reading, if that is what is wrong: it may pass. Nil means that checksums do not match.
	Err error
}

// Span is positions of one room, both ends included.
type Span struct {
	Room, Epoch string
	First, Last uint64
}

func (d Damage) String() string {
	return fmt.Sprintf("%s: %d bytes at %d: %s", d.File, d.Length, d.Offset, d.Reason)
}

// spans gathers what a place held, by room and epoch.
type spans map[Span]Span

func (s spans) add(r *skimmed) {
	if len(r.room) > 0 {
		s.extend(Span{string(r.room), string(r.epoch), r.seq, r.seq})
	}
}

func (s spans) extend(by Span) {
	key := Span{Room: by.Room, Epoch: by.Epoch}
	if had, ok := s[key]; ok {
		by.First, by.Last = min(had.First, by.First), max(had.Last, by.Last)
	}
	s[key] = by
}

func (s spans) list() []Span {
	var list []Span
	for _, span := range s {
		list = append(list, span)
	}
	slices.SortFunc(list, func(a, b Span) int {
		return cmp.Or(cmp.Compare(a.Room, b.Room), cmp.Compare(a.First, b.First), cmp.Compare(a.Epoch, b.Epoch))
	})
	return list
}

// appendPast writes what is to be remembered of damage.
func appendPast(b []byte, damage []Damage) []byte {
	b = binary.AppendUvarint(b, uint64(len(damage)))
	for _, d := range damage {
		b = appendString(b, d.File)
		b = binary.AppendUvarint(b, uint64(d.Offset))
		b = binary.AppendUvarint(b, uint64(d.Length))
		b = appendString(b, d.Reason)
		b = binary.AppendUvarint(b, uint64(len(d.Rooms)))
		for _, s := range d.Rooms {
			b = appendString(b, s.Room)
			b = appendString(b, s.Epoch)
			b = binary.AppendUvarint(b, s.First)
			b = binary.AppendUvarint(b, s.Last)
		}
	}
	return b
}

func decodePast(d *decoder) []Damage {
	var damage []Damage
	for range d.count(5) {
		past := Damage{File: d.str(), Offset: int64(d.uvarint()), Length: int64(d.uvarint()), Reason: d.str(), Lost: true, Past: true}
		for range d.count(4) {
			past.Rooms = append(past.Rooms, Span{d.str(), d.str(), d.uvarint(), d.uvarint()})
		}
		damage = append(damage, past)
	}
	return damage
}
