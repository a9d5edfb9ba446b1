package im_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
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

// watcher is one viewer of a swarm.
type watcher struct {
	*socket
	room string

	// Set when its goroutine has ended.
	sum      [32]byte // over the sequence of events
	events   int
	kinds    map[string]int
	gaps     int
	missed   int
	resets   int
	delays   []time.Duration // of bodies that say when they were sent
	bye      *wire.Message
	finished bool // saw the end
}

// watch connects n viewers to a room. It returns when all are in.
func watch(t *testing.T, url, room string, n int) *swarm {
	t.Helper()
	s := &swarm{}
	for i := range n {
		w := &watcher{socket: dialAs(t, url, fmt.Sprintf("%s-viewer-%d", room, i)), room: room, kinds: map[string]int{}}
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
	h := sha256.New()
	defer func() { h.Sum(w.sum[:0]) }()
	for {
		raw := w.read()
		if raw == "" {
			return
		}
		now := time.Now()
		var m wire.Message
		if err := json.Unmarshal([]byte(raw), &m); err != nil {
			w.t.Errorf("a viewer got %.100q: %v", raw, err)
			return
		}
		switch m.Op {
		case wire.OpGap:
			w.gaps++
			w.missed += m.Missed
		case wire.OpReset:
			w.resets++
			w.missed += m.Missed
		case wire.OpBye:
			w.bye = &m
		}
		for i := range m.Events {
			e := &m.Events[i]
			fmt.Fprintln(h, e.Seq, e.ID, e.Kind, string(e.Body))
			w.events++
			w.kinds[e.Kind]++
			var b struct{ SentNS int64 }
			if json.Unmarshal(e.Body, &b) == nil && b.SentNS > 0 {
				w.delays = append(w.delays, now.Sub(time.Unix(0, b.SentNS)))
			}
			if string(e.Body) == `"end"` {
				w.finished = true
				return
			}
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
