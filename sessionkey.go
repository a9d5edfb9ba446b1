package im

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"hash"
)

// sessionID is 128 random bits, by which the hub knows a session. What clients get as its id is that and a
// tag over it and the user, which only this hub, or one with the same Secret, can make: the tag is made when somebody
// asks for it, and not kept.
type sessionID [16]byte

func newSessionID() (id sessionID) {
	rand.Read(id[:])
	return id
}

// tagger makes tags, one at a time.
type tagger struct {
	mac hash.Hash
	buf []byte
}

func (h *Hub) newTagger() any { return &tagger{mac: hmac.New(sha256.New, h.opts.Secret)} }

func (h *Hub) sessionTag(id sessionID, user string) (tag [16]byte) {
	t := h.tags.Get().(*tagger)
	defer h.tags.Put(t)
	t.buf = appendField(t.buf[:0], "session")
	t.buf = appendField(t.buf, user)
	t.buf = append(t.buf, id[:]...)
	t.mac.Reset()
	_, _ = t.mac.Write(t.buf) // a hash takes everything
	t.buf = t.mac.Sum(t.buf[:0])
	copy(tag[:], t.buf)
	return tag
}

// appendField appends what writeField writes.
func appendField(dst []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint64(dst, uint64(len(s))), s...)
}

// session returns the user's live session with the id. An id of somebody else is
// like one that nobody has.
func (h *Hub) session(sid, user string) *Session {
	raw, err := base64.RawURLEncoding.DecodeString(sid)
	if err != nil || len(raw) != 32 {
		return nil
	}
	id := sessionID(raw[:16])
	if tag := h.sessionTag(id, user); !hmac.Equal(raw[16:], tag[:]) {
		return nil
	}
	s, ok := h.sessions.get(id)
	if !ok || s.User().ID != user {
		return nil
	}
	return s
}
