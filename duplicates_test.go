package im_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest"
	"github.com/liveim/im/internal/wire"
	"github.com/liveim/im/transport/pipe"
)

// F9: duplicate sends and calls through a hub that restarts now and then. 20 % are retries, 1 % come under a used cid
// with another payload, and some after the window. The effects are the distinct ids, and a retry
// gets the first answer. A file log, which restarts with the hub, has no window: there that holds for ever.
func TestF9DuplicatesThroughAHub(t *testing.T) {
	for name, open := range map[string]func(t *testing.T) *duplicates{
		"memory": func(t *testing.T) *duplicates {
			return &duplicates{log: openMemoryLog(t, &im.MemoryLogOptions{KeepEvents: 4000, DedupEvents: 5000, KeepAge: time.Hour, DedupAge: time.Hour})}
		},
		"file": func(t *testing.T) *duplicates {
			f := &restartingLog{t: t, dir: t.TempDir()}
			return &duplicates{log: f.open(), reopen: f.reopen}
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := 20_000
			if soak() {
				n = 1_000_000
			}
			d := open(t)
			d.t, d.rng = t, rand.New(rand.NewPCG(9, 9))
			d.run(n)
		})
	}
}

// What may be repeated is, with events that the log keeps, at most f9Within ids old, what comes after the window at least f9Beyond.
const (
	f9Within = 2000
	f9Beyond = 6000
	f9Peers  = 8   // connections, all of one user
	f9Batch  = 400 // requests at a time, over all of them
)

// duplicates sends and repeats, and keeps account.
type duplicates struct {
	t      *testing.T
	log    im.Log
	reopen func() im.Log // of a log that ends with the hub, and forgets nothing; nil: of one that does not
	rng    *rand.Rand
	hub    *im.Hub
	peers  []*pipe.Peer
	stop   func()      // following
	seen   im.Position // up to which effects are counted

	answers  []string // by id: the first answer
	effects  []uint8  // by id: events in the log
	again    []bool   // by id: repeated after the window
	retries  int
	others   int // with another payload
	late     int
	restarts int
	failed   bool
}

func (d *duplicates) run(n int) {
	d.follow()
	defer func() { d.stop() }()
	for sent := 0; sent < n && !d.failed; sent += f9Batch {
		if sent%(n/10) == 0 {
			d.restart()
		}
		d.batch()
	}
	d.close()
	if d.reopen != nil && !d.failed {
		d.recount()
	}
	twice := 0
	for id, e := range d.effects[:len(d.answers)] {
		switch {
		case e == 2 && d.again[id]:
			twice++
		case e != 1:
			d.t.Fatalf("id %d has %d effects", id, e)
		}
	}
	d.t.Logf("%d ids, %d retries, %d with another payload, %d after the window of which %d had a second effect, %d restarts",
		len(d.answers), d.retries, d.others, d.late, twice, d.restarts)
}

func (d *duplicates) follow() {
	var err error
	if d.stop, err = d.log.Follow(d.t.Context(), "42", d.seen, d.observe); err != nil {
		d.t.Fatal(err)
	}
}

// recount counts the effects once more, from what the log holds in the end.
func (d *duplicates) recount() {
	d.stop()
	d.log = d.reopen()
	followed := d.effects
	d.effects, d.seen = nil, im.Position{}
	d.stop = func() {}
	for more := true; more; {
		page, err := d.log.Read(d.t.Context(), "42", im.Range{After: d.seen, Max: 5000})
		if err != nil {
			d.t.Fatal(err)
		}
		d.observe(page.Events, nil)
		more = page.More
	}
	if !slices.Equal(d.effects, followed) {
		d.t.Errorf("the log holds other events than it has shown")
	}
}

// observe counts effects. The body of each event is its id.
func (d *duplicates) observe(events []*im.Event, err error) {
	if err != nil {
		d.t.Error(err)
	}
	for _, e := range events {
		d.seen = e.Pos
		if e.Kind == im.System {
			continue
		}
		id, err := strconv.Atoi(string(e.Body))
		if err != nil || id < 0 {
			d.t.Errorf("another payload had an effect: %s %s", e.Kind, e.Body)
			continue
		}
		for id >= len(d.effects) {
			d.effects = append(d.effects, 0)
		}
		d.effects[id]++
	}
}

// restart has another hub take the log over.
func (d *duplicates) restart() {
	d.close()
	if d.hub != nil && d.reopen != nil {
		d.stop()
		d.log = d.reopen()
		d.follow()
	}
	hub, err := im.New(imtest.BearerUser, &im.Options{Log: d.log, Secret: []byte("the same after a restart"), Pressure: calm, Limits: im.Limits{
		User: map[im.Kind]im.Limit{im.Chat: im.Unlimited}, Room: map[im.Kind]im.Limit{im.Chat: im.Unlimited},
		Requests: im.Unlimited, Connection: im.Unlimited,
	}})
	if err != nil {
		d.t.Fatal(err)
	}
	hub.Handle("gift.send", func(ctx context.Context, r *im.Request) (any, error) {
		_, err := hub.Room(r.Room).Send(ctx, im.Gift, r.Body)
		return rand.Uint32(), err // the same for a retry only if it is remembered
	})
	d.hub, d.peers = hub, nil
	for range f9Peers {
		conn, peer := pipe.New(nil)
		if _, err := hub.Attach(conn, user("ann")); err != nil {
			d.t.Fatal(err)
		}
		d.peers = append(d.peers, peer)
		if _, err := ask(d.t.Context(), peer, `{"op":"join","id":1,"room":"42","tier":"critical"}`, 1); err != nil {
			d.t.Fatal(err)
		}
	}
	d.restarts++
}

func (d *duplicates) close() {
	if d.hub != nil {
		for _, p := range d.peers {
			_ = p.Close()
		}
		_ = d.hub.Close()
	}
}

// f9Sent is one request.
type f9Sent struct {
	id    int
	other bool // it has another payload than the first one under the id
}

// batch sends requests, some over each connection at the same time, and checks the answers.
func (d *duplicates) batch() {
	var lists [f9Peers][]f9Sent
	var messages [f9Peers]strings.Builder
	before := len(d.answers) // what may be repeated: those that have their answer
	for i := range f9Batch {
		s := d.next(before)
		to := i % f9Peers
		lists[to] = append(lists[to], s)
		body := s.id
		if s.other {
			body = -1 - s.id
		}
		op := `"op":"send","kind":"chat"`
		if s.id%10 == 0 {
			op = `"op":"gift.send"`
		}
		fmt.Fprintf(&messages[to], `,{%s,"id":%d,"room":"42","cid":"c-%d","body":%d}`, op, 10+i, s.id, body)
	}
	var answers [f9Peers][]*wire.Message
	var errs [f9Peers]error
	var wg sync.WaitGroup
	for i, p := range d.peers {
		wg.Go(func() {
			answers[i], errs[i] = ask(d.t.Context(), p, "["+messages[i].String()[1:]+"]", len(lists[i]))
		})
	}
	wg.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		d.t.Fatal(err)
	}
	for i, list := range lists {
		for k, s := range list {
			d.compare(s, answers[i][k])
		}
	}
}

// next decides what is sent next: something new, or one of the first so many ids again.
func (d *duplicates) next(before int) f9Sent {
	s := f9Sent{id: len(d.answers)}
	switch p := d.rng.Float64(); {
	case p < 0.001 && before > f9Beyond:
		switch late := d.rng.IntN(before - f9Beyond); {
		case d.reopen != nil:
			s.id, s.other = late, p < 0.0002
			d.late++
		case !d.again[late]:
			s.id, d.again[late] = late, true
			d.late++
		}
	case p < 0.2 && before > 0:
		s.id = before - 1 - d.rng.IntN(min(before, f9Within))
		s.other = p < 0.011
		d.retries++
	}
	if s.other {
		d.others++
	}
	if s.id == len(d.answers) {
		d.answers, d.again = append(d.answers, ""), append(d.again, false)
	}
	return s
}

// compare checks an answer.
func (d *duplicates) compare(s f9Sent, m *wire.Message) {
	if s.other {
		if m.Code != string(im.CodeConflict) {
			d.fail("id %d with another payload is answered %+v", s.id, m)
		}
		return
	}
	got := fmt.Sprint(m.Op, m.Status, m.Event, string(m.Body))
	if d.answers[s.id] == "" {
		d.answers[s.id] = got
	}
	if m.Status != "ok" || got != d.answers[s.id] && !d.again[s.id] { // after the window a call may have run again
		d.fail("id %d is answered %+v, the first time %q", s.id, m, d.answers[s.id])
	}
}

func (d *duplicates) fail(format string, args ...any) {
	d.failed = true
	d.t.Errorf(format, args...)
}

// ask sends a message and returns the answers to its n requests.
func ask(ctx context.Context, peer *pipe.Peer, message string, n int) (list []*wire.Message, err error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	sent := make(chan error, 1)
	go func() { sent <- peer.Send(ctx, []byte(message)) }()
	for len(list) < n {
		b, err := peer.Recv(ctx)
		if err != nil {
			return nil, err
		}
		m := new(wire.Message)
		if err := json.Unmarshal(b, m); err != nil {
			return nil, err
		}
		if m.ID != 0 {
			list = append(list, m)
		}
	}
	return list, <-sent
}
