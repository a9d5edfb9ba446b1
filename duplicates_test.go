package im_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest"
	"github.com/liveim/im/internal/wire"
	"github.com/liveim/im/transport/pipe"
)

// F9: duplicate sends and calls through a hub that restarts now and then. 20 % are retries, 1 % come under a used cid
// with another payload, and some after the window. The effects are the distinct ids, and a retry
// gets the first answer.
func TestF9DuplicatesThroughAHub(t *testing.T) {
	for name, open := range map[string]func(t *testing.T) im.Log{
		"memory": func(t *testing.T) im.Log {
			return openMemoryLog(t, &im.MemoryLogOptions{KeepEvents: 4000, DedupEvents: 5000, KeepAge: time.Hour, DedupAge: time.Hour})
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := 20_000
			if soak() {
				n = 1_000_000
			}
			d := &duplicates{t: t, log: open(t), rng: rand.New(rand.NewPCG(9, 9))}
			d.run(n)
		})
	}
}

// What may be repeated is, with events that the log keeps, at most f9Within ids old, what comes after the window at least f9Beyond.
const (
	f9Within = 2000
	f9Beyond = 6000
)

// duplicates sends and repeats, and keeps account.
type duplicates struct {
	t    *testing.T
	log  im.Log
	rng  *rand.Rand
	hub  *im.Hub
	peer *pipe.Peer

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
	const batch = 50
	stop, err := d.log.Follow(d.t.Context(), "42", im.Position{}, d.observe)
	if err != nil {
		d.t.Fatal(err)
	}
	defer stop()
	for sent := 0; sent < n && !d.failed; sent += batch {
		if sent%(n/10) == 0 {
			d.restart()
		}
		d.batch(batch)
	}
	d.close()
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

// observe counts effects. The body of each event is its id.
func (d *duplicates) observe(events []*im.Event, err error) {
	if err != nil {
		d.t.Error(err)
	}
	for _, e := range events {
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
	hub, err := im.New(imtest.BearerUser, &im.Options{Log: d.log, Secret: []byte("the same after a restart"), Pressure: calm, Limits: im.Limits{
		User: map[im.Kind]im.Limit{im.Chat: im.Unlimited}, Room: map[im.Kind]im.Limit{im.Chat: im.Unlimited},
		Requests: im.Unlimited, Connection: im.Unlimited,
	}})
	if err != nil {
		d.t.Fatal(err)
	}
	hub.Handle("gift.send", func(ctx context.Context, r *im.Request) (any, error) {
		_, err := hub.Room(r.Room).Send(ctx, im.Gift, r.Body)
		return d.rng.Uint32(), err // the same for a retry only if it is remembered
	})
	conn, peer := pipe.New(nil)
	if _, err := hub.Attach(conn, user("ann")); err != nil {
		d.t.Fatal(err)
	}
	d.hub, d.peer = hub, peer
	d.ask(`{"op":"join","id":1,"room":"42","tier":"critical"}`, 1)
	d.restarts++
}

func (d *duplicates) close() {
	if d.hub != nil {
		_ = d.peer.Close()
		_ = d.hub.Close()
	}
}

// batch sends some requests in one message and checks the answers.
func (d *duplicates) batch(n int) {
	type sent struct {
		id    int
		other bool
	}
	var list []sent
	var b strings.Builder
	for i := range n {
		s := sent{id: len(d.answers)}
		switch p, k := d.rng.Float64(), len(d.answers); {
		case p < 0.001 && k > f9Beyond:
			if s.id = d.rng.IntN(k - f9Beyond); d.again[s.id] {
				s.id = k - 1
			} else {
				d.again[s.id] = true
				d.late++
			}
		case p < 0.2 && k > 0:
			s.id = k - 1 - d.rng.IntN(min(k, f9Within))
			s.other = p < 0.011
			d.retries++
		}
		if s.other {
			d.others++
		}
		if s.id == len(d.answers) {
			d.answers, d.again = append(d.answers, ""), append(d.again, false)
		}
		list = append(list, s)
		body := s.id
		if s.other {
			body = -1 - s.id
		}
		op := `"op":"send","kind":"chat"`
		if s.id%10 == 0 {
			op = `"op":"gift.send"`
		}
		fmt.Fprintf(&b, `,{%s,"id":%d,"room":"42","cid":"c-%d","body":%d}`, op, 10+i, s.id, body)
	}
	for i, m := range d.ask("["+b.String()[1:]+"]", n) {
		s := list[i]
		if s.other {
			if m.Code != string(im.CodeConflict) {
				d.fail("id %d with another payload is answered %+v", s.id, m)
			}
			continue
		}
		got := fmt.Sprint(m.Op, m.Status, m.Event, string(m.Body))
		if d.answers[s.id] == "" {
			d.answers[s.id] = got
		}
		if m.Status != "ok" || got != d.answers[s.id] && !d.again[s.id] { // after the window a call may have run again
			d.fail("id %d is answered %+v, the first time %q", s.id, m, d.answers[s.id])
		}
	}
}

func (d *duplicates) fail(format string, args ...any) {
	d.failed = true
	d.t.Errorf(format, args...)
}

// ask sends a message and returns the answers to its n requests.
func (d *duplicates) ask(message string, n int) (list []*wire.Message) {
	ctx, cancel := context.WithTimeout(d.t.Context(), 30*time.Second)
	defer cancel()
	sent := make(chan error, 1)
	go func() { sent <- d.peer.Send(ctx, []byte(message)) }()
	for len(list) < n {
		b, err := d.peer.Recv(ctx)
		if err != nil {
			d.t.Fatal(err)
		}
		m := new(wire.Message)
		if err := json.Unmarshal(b, m); err != nil {
			d.t.Fatal(err)
		}
		if m.ID != 0 {
			list = append(list, m)
		}
	}
	if err := <-sent; err != nil {
		d.t.Fatal(err)
	}
	return list
}
