package im

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"hash"
)

// sessionKey is what the id of a session says: 128 random bits, and a tag over them and the user
// that only this hub, or one with the same Secret, can make. The zero key is that of a session without an id.
type sessionKey [32]byte

// sessionID is the random part of a key, by which the hub knows its sessions.
type sessionID [16]byte

func (k *sessionKey) id() sessionID { return sessionID(k[:16]) }

// String returns the key as clients get it.
func (k *sessionKey) String() string {
	if *k == (sessionKey{}) {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(k[:])
}

// newKey returns the key of a new session of a user, nil if it is not known yet.
func (h *Hub) newKey(u *User) (k sessionKey) {
	rand.Read(k[:16])
	user := ""
	if u != nil {
		user = u.ID
	}
	tag := h.sessionTag(k.id(), user)
	copy(k[16:], tag[:])
	return k
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
	if err != nil || len(raw) != len(sessionKey{}) {
		return nil
	}
	key := sessionKey(raw)
	if tag := h.sessionTag(key.id(), user); !hmac.Equal(key[16:], tag[:]) {
		return nil
	}
	s, ok := h.sessions.get(key.id())
	if !ok || s.User().ID != user {
		return nil
	}
	return s
}
