package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// Limits of an entry.
const (
	MaxAction = 62      // bytes of an action
	MaxDetail = 1 << 16 // bytes of a detail as JSON
)

// Reserved is how the actions begin that the log itself writes; Record refuses them.
const Reserved = "audit."

const eraseAction = Reserved + "erase"

// The layout of a record in the file entries. Its first leafSize bytes are what the tree holds.
const (
	version    = 1
	leafSize   = 112
	recordSize = 128
	saltSize   = 32
)

// Entry is one entry of a log. As JSON it can be handed on, and checked by [Checkpoint.CheckRecord] where it arrives.
type Entry struct {
	Index      int64           `json:"index"`  // from 0 without a gap
	At         time.Time       `json:"at"`     // in UTC, by the clock of the log's machine, which may have gone back
	Action     string          `json:"action"` // as "moderate.mute"
	Commitment tlog.Hash       `json:"commitment"`
	Salt       []byte          `json:"salt,omitempty"`   // nil if erased
	Detail     json.RawMessage `json:"detail,omitempty"` // nil if erased
	Erased     bool            `json:"erased,omitempty"` // by Erase
}

// Leaf returns what the tree holds of the entry. tlog.RecordHash of it is the leaf's hash.
func (e Entry) Leaf() []byte {
	b := make([]byte, leafSize)
	r := record{action: e.Action, index: e.Index, at: e.At.UnixNano(), commitment: e.Commitment}
	r.putLeaf(b)
	return b
}

// Text returns the string that the detail has under a key, as "user" or "room", or "" if the detail is no object, is
// erased, or has something else there.
func (e Entry) Text(key string) string {
	var fields map[string]json.RawMessage
	var text string
	if json.Unmarshal(e.Detail, &fields) != nil || json.Unmarshal(fields[key], &text) != nil {
		return ""
	}
	return text
}

// committed reports whether salt and detail are those of a commitment.
func committed(c tlog.Hash, salt, detail []byte) bool {
	return len(salt) == saltSize && commit(salt, detail) == c
}

// commit hashes the salt and the detail, one after the other. The salt has a fixed size, so the two cannot be mixed up.
func commit(salt, detail []byte) tlog.Hash {
	b := make([]byte, 0, 512)
	return sha256.Sum256(append(append(b, salt...), detail...))
}

func checkAction(action string) error {
	if action == "" || len(action) > MaxAction {
		return fmt.Errorf("audit: the action %.80q has %d bytes; give one of 1 to %d", action, len(action), MaxAction)
	}
	if strings.HasPrefix(action, Reserved) {
		return fmt.Errorf("audit: the action %q begins with %q, which is for the log itself; choose another name", action, Reserved)
	}
	if !printable(action) {
		return fmt.Errorf("audit: the action %q has other characters than printable ASCII; put text into the detail", action)
	}
	return nil
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// record is an entry as the file entries has it.
type record struct {
	action     string
	index, at  int64 // at in nanoseconds since 1970
	commitment tlog.Hash
	off        int64 // where the file details has salt and detail
	n          int   // bytes of the detail, without the salt
}

func (r *record) end() int64 { return r.off + saltSize + int64(r.n) }

func (r *record) putLeaf(b []byte) {
	b[0], b[1] = version, byte(len(r.action))
	clear(b[2:64])
	copy(b[2:64], r.action)
	binary.BigEndian.PutUint64(b[64:], uint64(r.index))
	binary.BigEndian.PutUint64(b[72:], uint64(r.at))
	copy(b[80:], r.commitment[:])
}

func (r *record) put(b []byte) {
	r.putLeaf(b)
	binary.BigEndian.PutUint64(b[112:], uint64(r.off))
	binary.BigEndian.PutUint32(b[120:], uint32(r.n))
	binary.BigEndian.PutUint32(b[124:], crc32.Checksum(b[:124], crc32.MakeTable(crc32.Castagnoli)))
}

// parseRecord accepts exactly what put writes.
func parseRecord(b []byte) (r record, err error) {
	if len(b) != recordSize {
		return r, fmt.Errorf("it has %d bytes of %d", len(b), recordSize)
	}
	if binary.BigEndian.Uint32(b[124:]) != crc32.Checksum(b[:124], crc32.MakeTable(crc32.Castagnoli)) {
		return r, fmt.Errorf("its checksum is wrong: bytes have changed")
	}
	if b[0] != version {
		return r, fmt.Errorf("it has format %d, and this version of the package knows %d", b[0], version)
	}
	n := int(b[1])
	if n == 0 || n > MaxAction || bytes.Count(b[2+n:64], []byte{0}) != MaxAction-n || !printable(string(b[2:2+n])) {
		return r, fmt.Errorf("its action is not one")
	}
	r.action = string(b[2 : 2+n])
	r.index = int64(binary.BigEndian.Uint64(b[64:]))
	r.at = int64(binary.BigEndian.Uint64(b[72:]))
	copy(r.commitment[:], b[80:])
	r.off = int64(binary.BigEndian.Uint64(b[112:]))
	r.n = int(binary.BigEndian.Uint32(b[120:]))
	if r.index < 0 || r.off < 0 || r.off > 1<<60 || r.n > MaxDetail {
		return r, fmt.Errorf("its numbers are out of range")
	}
	return r, nil
}

// entry makes an Entry of the record and of what the file details has: salt and detail, or zeros.
func (r *record) entry(body []byte) (Entry, error) {
	e := Entry{Index: r.index, At: time.Unix(0, r.at).UTC(), Action: r.action, Commitment: r.commitment}
	switch {
	case committed(r.commitment, body[:saltSize], body[saltSize:]):
		e.Salt, e.Detail = body[:saltSize:saltSize], body[saltSize:]
	case zeros(body):
		e.Erased = true
	default:
		return e, fmt.Errorf("%w: the detail of entry %d is not what was recorded", ErrCorrupt, r.index)
	}
	return e, nil
}

func zeros(b []byte) bool {
	for len(b) >= 8 {
		if binary.LittleEndian.Uint64(b) != 0 {
			return false
		}
		b = b[8:]
	}
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
