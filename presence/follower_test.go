package presence_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/presence"
	"github.com/liveim/im/transport/pipe"
)

// follower is a client that keeps a roster by what it hears, as docs/protocol.md has it.
type follower struct {
	t     *testing.T
	peer  *pipe.Peer
	of    string
	v     uint64
	count int
	large bool
	top   string
	names map[string]string
	last  string
	heard int // changes of the version
}

type said struct {
	Op   string
	Told struct {
		Presence json.RawMessage
	}
}

func newFollower(t *testing.T, hub *im.Hub, room, id string) *follower {
	t.Helper()
	conn, peer := pipe.New(nil)
	if _, err := hub.Attach(conn, user(id)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = peer.Close() })
	f := &follower{t: t, peer: peer}
	f.ask(`{"op":"join","id":1,"room":%q}`, room)
	return f
}

func (f *follower) ask(format string, args ...any) {
	if err := f.peer.Send(f.t.Context(), fmt.Appendf(nil, format, args...)); err != nil {
		f.t.Fatal(err)
	}
}

// hear takes what has come.
func (f *follower) hear() {
	f.t.Helper()
	for {
		ctx, cancel := context.WithTimeout(f.t.Context(), time.Millisecond)
		b, err := f.peer.Recv(ctx)
		cancel()
		if err != nil {
			return
		}
		var m said
		if err := json.Unmarshal(b, &m); err != nil {
			f.t.Fatalf("%s: %v", b, err)
		}
		if raw := m.Told.Presence; raw != nil {
			f.take(raw)
		}
	}
}

func (f *follower) take(raw json.RawMessage) {
	var d struct {
		Of      string
		V       uint64
		Prev    *uint64
		Count   int
		Large   bool
		In, Top []presence.Member
		Out     []string
	}
	if err := json.Unmarshal(raw, &d); err != nil {
		f.t.Fatalf("%s: %v", raw, err)
	}
	if f.of != d.Of || f.v != d.V {
		f.heard++
	}
	old, was := f.v, f.of
	f.of, f.v, f.count, f.large, f.last = d.Of, d.V, d.Count, d.Large, string(raw)
	f.top = ""
	for _, m := range d.Top {
		f.top = strings.TrimSpace(fmt.Sprintf("%s %s=%d", f.top, m.ID, m.Rank))
	}
	switch {
	case d.Large || d.Prev == nil:
		f.names = nil
		return
	case *d.Prev == 0:
		f.names = map[string]string{}
	case f.names == nil || was != d.Of || *d.Prev > old:
		f.names = nil
		return
	}
	for _, m := range d.In {
		f.names[m.ID] = m.Name
	}
	for _, id := range d.Out {
		delete(f.names, id)
	}
}

// who is everybody that it knows of, and their names where they are not their ids.
func (f *follower) who() string {
	if f.names == nil {
		return "unknown"
	}
	var list []string
	for id, name := range f.names {
		if name != id {
			id += "=" + name
		}
		list = append(list, id)
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}
