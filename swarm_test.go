package im_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"hash"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/liveim/im/internal/wire"
)

// soak reports whether the long forms of the tests are wanted: make soak.
func soak() bool { return os.Getenv("IM_SOAK") != "" }

// swarm is many viewers over real sockets, each read by a goroutine until the
// event that has the body "end".
type swarm struct {
	viewers []*watcher
	done    sync.WaitGroup
}

// watcher is one viewer of a swarm over WebSocket.
type watcher struct {
	*socket
	sight
}

// sight is what a viewer has seen, whatever carried it. It is read when the
// viewer's goroutine has ended.
type sight struct {
	h        hash.Hash
	sum      [32]byte // over the sequence of events
	events   int
	kinds    map[string]int
	gaps     int
	missed   int
	lowered  bool
	resets   int
	delays   []time.Duration // of bodies that say when they were sent
	bye      *wire.Message
	finished bool // saw the end
}

// see notes a message, and reports whether it is the last.
func (s *sight) see(m *wire.Message) (last bool) {
	now := time.Now()
	if s.h == nil {
		s.h, s.kinds = sha256.New(), map[string]int{}
	}
	switch m.Op {
	case wire.OpGap:
		s.gaps++
		s.missed += m.Missed
	case wire.OpReset, wire.OpJoined: // a second joined is how a poll is brought back
		s.resets++
		s.lowered = false
		s.missed += m.Missed
	case wire.OpTier:
		s.lowered = m.By == "server" // a gap says how much it missed, and then it is raised again
		return s.finished && !s.lowered
	case wire.OpBye:
		s.bye = m
	}
	for i := range m.Events {
		e := &m.Events[i]
		fmt.Fprintln(s.h, e.Seq, e.ID, e.Kind, string(e.Body))
		s.events++
		s.kinds[e.Kind]++
		var b struct{ SentNS int64 }
		if json.Unmarshal(e.Body, &b) == nil && b.SentNS > 0 {
			s.delays = append(s.delays, now.Sub(time.Unix(0, b.SentNS)))
		}
		if string(e.Body) == `"end"` {
			s.finished = true
			s.h.Sum(s.sum[:0])
			return !s.lowered
		}
	}
	return false
}

// watch connects n viewers to a room. It returns when all are in.
func watch(t *testing.T, url, room string, n int) *swarm {
	t.Helper()
	s := &swarm{}
	for i := range n {
		w := &watcher{socket: dialAs(t, url, fmt.Sprintf("%s-viewer-%d", room, i))}
		w.patience = time.Minute // recordings have silent stretches
		w.expect("welcome")
		w.send(fmt.Sprintf(`{"op":"join","id":1,"room":%q}`, room))
		w.expect("joined")
		s.viewers = append(s.viewers, w)
	}
	return s
}

// run starts the goroutines that read.
func (s *swarm) run() {
	for _, w := range s.viewers {
		s.done.Go(w.run)
	}
}

func (w *watcher) run() {
	for {
		raw := w.read()
		if raw == "" {
			return
		}
		m := new(wire.Message)
		if err := json.Unmarshal([]byte(raw), m); err != nil {
			w.t.Errorf("a viewer got %.100q: %v", raw, err)
			return
		}
		if w.see(m) {
			return
		}
	}
}

// percentile returns the p-th percentile of the delays of all viewers.
func (s *swarm) percentile(p float64) time.Duration {
	var all []time.Duration
	for _, w := range s.viewers {
		all = append(all, w.delays...)
	}
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[min(len(all)-1, int(p/100*float64(len(all))))]
}

// stamped is a body that says when it was sent.
type stamped struct {
	SentNS int64
	Pad    string
}
