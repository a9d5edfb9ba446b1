//go:build linux

package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/liveim/im"
)

// bodySize is how many bytes the body of an event has.
const bodySize = 200

// words are what bodies are made of: they repeat themselves about as much as chat does.
var words = []string{
	"the", "stream", "hello", "from", "nice", "wow", "again", "666", "lol", "first", "where", "what", "song", "is", "this", "team",
	"go", "come", "on", "best", "goal", "today", "love", "it", "please", "host", "next", "round", "gift", "for", "you", "thanks",
	"never", "seen", "such", "a", "play", "camera", "left", "right", "sound", "ok", "now", "who", "won", "look", "behind", "him",
}

// maker makes events. It is not safe for concurrent use.
type maker struct {
	random *rand.Rand
	prefix string
	n      uint64
}

// newMaker returns one whose ids differ from those of makers with other numbers.
func newMaker(number int) *maker {
	return &maker{random: rand.New(rand.NewPCG(uint64(number), 7)), prefix: "w" + strconv.Itoa(number) + "-"}
}

// event returns a critical event that nobody else has.
func (m *maker) event() *im.Event {
	m.n++
	body := make([]byte, 0, bodySize+16)
	body = append(body, `{"text":"`...)
	for len(body) < bodySize-2 {
		body = append(append(body, words[m.random.IntN(len(words))]...), ' ')
	}
	body = append(body[:bodySize-2], `"}`...)
	user := "user-" + strconv.Itoa(m.random.IntN(10_000))
	digest := strconv.FormatUint(m.random.Uint64(), 36)
	return &im.Event{
		ID: m.prefix + strconv.FormatUint(m.n, 36) + digest[:8], Kind: im.Gift, Class: im.Critical, At: time.Now(),
		From: im.Author{ID: user, Name: "Viewer of " + user}, Body: body, Digest: digest,
	}
}

func (m *maker) events(n int) []*im.Event {
	all := make([]*im.Event, n)
	for i := range all {
		all[i] = m.event()
	}
	return all
}

// roomNames are the names of n rooms.
func roomNames(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("room-%03d", i)
	}
	return all
}

// encode is what the stores that know bytes only keep of an event.
func encode(dst []byte, e *im.Event) []byte {
	dst = binary.AppendUvarint(dst, uint64(e.At.UnixNano()))
	dst = append(dst, byte(e.Class))
	for _, s := range []string{e.ID, string(e.Kind), e.From.ID, e.From.Name, e.Digest} {
		dst = append(binary.AppendUvarint(dst, uint64(len(s))), s...)
	}
	return append(dst, e.Body...)
}

var errShort = errors.New("a stored event is shorter than it says")

// decode copies what it returns out of b.
func decode(b []byte, seq uint64) (*im.Event, error) {
	at, n := binary.Uvarint(b)
	if n <= 0 || len(b) <= n {
		return nil, errShort
	}
	e := &im.Event{At: time.Unix(0, int64(at)), Class: im.Class(b[n])}
	b = b[n+1:]
	var kind string
	for _, s := range []*string{&e.ID, &kind, &e.From.ID, &e.From.Name, &e.Digest} {
		size, n := binary.Uvarint(b)
		if n <= 0 || uint64(len(b)-n) < size {
			return nil, errShort
		}
		*s, b = string(b[n:n+int(size)]), b[n+int(size):]
	}
	e.Kind, e.Body, e.Pos.Seq = im.Kind(kind), append([]byte(nil), b...), seq
	return e, nil
}
