package segment

import (
	"fmt"
	"time"

	"github.com/liveim/im"
)

// skimmed is what can be said of a record without copying it: its texts are part of the encoded form.
type skimmed struct {
	kind        Type
	seq         uint64
	room, epoch []byte

	// What follows is of events alone.
	id                  []byte
	class               im.Class
	at                  time.Time
	volatiles, durables uint64
	counts, body        int // where in the encoded form the two counts begin and end
}

// skim reads an encoded record, and fails where decodeRecord does.
func skim(b []byte) (skimmed, error) {
	d := decoder{b: b}
	s := skimmed{kind: Type(d.byte()), seq: d.uvarint(), room: d.bytes(), epoch: d.bytes()}
	switch s.kind {
	case Event:
		s.event(&d, b)
		return s, d.end("an event")
	case Snapshot:
		optional(&d)
	case Meta:
		d.uvarint()
		d.uvarint()
		d.uvarint()
	case Abort, Reserve, Closed:
	default:
		return s, fmt.Errorf("a record has type %d, which this version does not know: %w", s.kind, ErrDamaged)
	}
	return s, d.end("a record")
}

func (s *skimmed) event(d *decoder, b []byte) {
	s.class = im.Class(d.byte())
	d.bytes() // kind
	s.id = d.bytes()
	sec, nsec := d.varint(), d.uvarint()
	d.bytes() // sender
	d.bytes() // and name
	n := d.varint()
	d.bytes() // digest
	s.counts = len(b) - len(d.b)
	s.volatiles, s.durables = d.uvarint(), d.uvarint()
	s.body = len(b) - len(d.b)
	optional(d)
	if nsec >= 1e9 || int64(int(n)) != n {
		d.fail()
		return
	}
	s.at = time.Unix(sec, int64(nsec)).UTC()
}
