package bolt

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/liveim/im/ledger"
)

// The format of version 1, in buckets of bbolt:
//
//	meta   "format" -> "1"
//	entry  key -> record
//	due    8 bytes, microseconds since 1970 in big endian; key -> nothing
//	room   2 bytes, length of the room in big endian; room; key -> nothing
//	user   the same of users
//
// A record is: Version as uvarint; Created and Updated in microseconds since 1970 as varints; 0 or, one
// more than it, Due in the same unit as uvarint; Kind, State, Room and User, each behind its length as uvarint; Data; the
// CRC-32C of the key and all that, in 4 bytes in big endian.
const format = "1"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// encode makes a record of an entry.
func encode(e *ledger.Entry) []byte {
	b := make([]byte, 0, 5*binary.MaxVarintLen64+len(e.Kind)+len(e.State)+len(e.Room)+len(e.User)+len(e.Data)+12)
	b = binary.AppendUvarint(b, e.Version)
	b = binary.AppendVarint(b, e.Created.UnixMicro())
	b = binary.AppendVarint(b, e.Updated.UnixMicro())
	due := uint64(0)
	if !e.Due.IsZero() {
		due = uint64(e.Due.UnixMicro()) + 1
	}
	b = binary.AppendUvarint(b, due)
	for _, s := range []string{e.Kind, e.State, e.Room, e.User} {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	b = append(b, e.Data...)
	return binary.BigEndian.AppendUint32(b, checksum([]byte(e.Key), b))
}

func checksum(key, record []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, record)
}

// record is an entry that points into a page of the file, valid as long as the transaction.
type record struct {
	key                     []byte
	version, due            uint64
	created, updated        int64
	kind, state, room, user []byte
	data                    []byte
}

// decode reads a record. The error wraps ErrCorrupt.
func decode(key, value []byte) (record, error) {
	r := record{key: key}
	d := decoder{rest: value}
	n := len(value) - 4
	if n < 0 || binary.BigEndian.Uint32(value[n:]) != checksum(key, value[:n]) {
		return r, fmt.Errorf("%w: the checksum of entry %.80q is wrong", ErrCorrupt, key)
	}
	d.rest = value[:n]
	r.version, r.created, r.updated, r.due = d.uvarint(), d.varint(), d.varint(), d.uvarint()
	r.kind, r.state, r.room, r.user = d.field(), d.field(), d.field(), d.field()
	if r.data = d.rest; d.bad || r.version == 0 || len(r.data) == 0 {
		return r, fmt.Errorf("%w: the record of entry %.80q is not a record", ErrCorrupt, key)
	}
	return r, nil
}

// decoder reads from rest, and remembers if that was not possible.
type decoder struct {
	rest []byte
	bad  bool
}

func (d *decoder) take(n int, ok bool) {
	if !ok {
		d.bad, d.rest = true, nil
		return
	}
	d.rest = d.rest[n:]
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.rest)
	d.take(n, n > 0)
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.rest)
	d.take(n, n > 0)
	return v
}

func (d *decoder) field() []byte {
	n := d.uvarint()
	if n > uint64(len(d.rest)) {
		d.take(0, false)
		return nil
	}
	s := d.rest[:n]
	d.take(int(n), true)
	return s
}

// entry makes a copy that outlives the transaction.
func (r *record) entry() ledger.Entry {
	e := ledger.Entry{
		Key: string(r.key), Version: r.version,
		Kind: string(r.kind), State: string(r.state), Room: string(r.room), User: string(r.user),
		Data:    append(json.RawMessage(nil), r.data...),
		Created: time.UnixMicro(r.created).UTC(), Updated: time.UnixMicro(r.updated).UTC(),
	}
	if r.due > 0 {
		e.Due = time.UnixMicro(int64(r.due - 1)).UTC()
	}
	return e
}

// selects is ledger.Query.Selects for what the key does not tell, without a copy.
func (r *record) selects(q *ledger.Query) bool {
	return (q.Kind == "" || q.Kind == string(r.kind)) && (q.State == "" || q.State == string(r.state)) &&
		(q.Room == "" || q.Room == string(r.room)) && (q.User == "" || q.User == string(r.user))
}

// dueKey is the key in the index of what is due.
func dueKey(due time.Time, key string) []byte {
	return append(binary.BigEndian.AppendUint64(make([]byte, 0, 8+len(key)), uint64(due.UnixMicro())), key...)
}

// nameKey is the key in the index of rooms or users. The length keeps names apart of which one begins another.
func nameKey(name, key string) []byte {
	b := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(name)+len(key)), uint16(len(name)))
	return append(append(b, name...), key...)
}
