package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest/logtest"
)

// tail collects what a follower is given.
type tail struct {
	more chan struct{}

	mu     sync.Mutex // protects the fields below
	events []*im.Event
	err    error
}

func follow(t testing.TB, l *Log, room string, after im.Position) *tail {
	t.Helper()
	w := &tail{more: make(chan struct{}, 1)}
	stop, err := l.Follow(t.Context(), room, after, func(events []*im.Event, err error) {
		w.mu.Lock()
		w.events = append(w.events, events...)
		w.err = err
		w.mu.Unlock()
		select {
		case w.more <- struct{}{}:
		default:
		}
	})
	if err != nil {
		t.Fatalf("Follow: %v", err)
	}
	t.Cleanup(stop)
	return w
}

// await waits until done reports true of what was delivered.
func (w *tail) await(t testing.TB, within time.Duration, what string, done func(events []*im.Event, err error) bool) {
	t.Helper()
	deadline := time.After(within)
	for {
		w.mu.Lock()
		ok, n, err := done(w.events, w.err), len(w.events), w.err
		w.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-w.more:
		case <-deadline:
			t.Fatalf("%v passed without %s; %d events so far, error %v", within, what, n, err)
		}
	}
}

func (w *tail) until(t testing.TB, id string) {
	t.Helper()
	w.await(t, 10*time.Second, "event "+id, func(events []*im.Event, _ error) bool {
		return len(events) > 0 && slices.ContainsFunc(events, func(e *im.Event) bool { return e.ID == id })
	})
}

func (w *tail) places() []im.Position {
	w.mu.Lock()
	defer w.mu.Unlock()
	var at []im.Position
	for _, e := range w.events {
		at = append(at, e.Pos)
	}
	return at
}

func mustAppend(t testing.TB, l *Log, room string, events ...*im.Event) []im.Appended {
	t.Helper()
	out, err := l.Append(t.Context(), room, events)
	if err != nil {
		t.Fatalf("Append: %v", err)
	}
	return out
}

// Two nodes on one database see one order, with notifications alone: the poll
// is too rare to help.
func TestTwoNodesConverge(t *testing.T) {
	schema := newSchema(t)
	nodes := []*Log{
		openLog(t, LogOptions{Schema: schema, Poll: time.Hour}),
		openLog(t, LogOptions{Schema: schema, Poll: time.Hour}),
	}
	tails := []*tail{follow(t, nodes[0], "room", im.Position{}), follow(t, nodes[1], "room", im.Position{})}
	const writers, calls = 4, 40
	var wg sync.WaitGroup
	for _, l := range nodes {
		for g := range writers {
			wg.Go(func() {
				for i := range calls {
					// Every event is sent by both nodes.
					if _, err := l.Append(t.Context(), "room", logtest.Events(im.Normal, fmt.Sprintf("%d-%d", g, i))); err != nil {
						t.Errorf("Append: %v", err)
					}
				}
			})
		}
	}
	wg.Wait()
	mustAppend(t, nodes[0], "room", logtest.Events(im.Normal, "last")...)
	for i, w := range tails {
		w.until(t, "last")
		if n := len(w.places()); n != writers*calls+1 {
			t.Errorf("node %d delivered %d events, want %d", i, n, writers*calls+1)
		}
	}
	if a, b := tails[0].places(), tails[1].places(); !slices.Equal(a, b) {
		t.Errorf("the nodes delivered different orders:\n%v\n%v", a, b)
	}
}

// A node that lost its connection for notifications goes on: it polls, and it
// listens again.
func TestListenerIsKilled(t *testing.T) {
	schema := newSchema(t)
	const poll = 500 * time.Millisecond
	a, b := openLog(t, LogOptions{Schema: schema}), openLog(t, LogOptions{Schema: schema, Poll: poll})
	w := follow(t, b, "room", im.Position{})
	for i := range 5 {
		// Some of the connections are of other logs of this test binary, which are closed.
		run(t, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND pid <> pg_backend_pid()")
		id := fmt.Sprint("e", i)
		start := time.Now()
		mustAppend(t, a, "room", logtest.Events(im.Normal, id)...)
		w.until(t, id)
		if d := time.Since(start); d > poll+5*time.Second {
			t.Errorf("event %s came after %v, with a poll of %v", id, d, poll)
		}
	}
	if n := len(w.places()); n != 5 {
		t.Errorf("%d events were delivered, want 5", n)
	}
}

// Without any notification the poll delivers.
func TestPollAlone(t *testing.T) {
	schema := newSchema(t)
	a, b := openLog(t, LogOptions{Schema: schema}), openLog(t, LogOptions{Schema: schema, Poll: 100 * time.Millisecond})
	a.schema = "nowhere" // what it announces, nobody hears
	w := follow(t, b, "room", im.Position{})
	for i := range 5 {
		id := fmt.Sprint("e", i)
		mustAppend(t, a, "room", logtest.Events(im.Normal, id)...)
		w.until(t, id)
	}
}

// Several processes may migrate at once, and again.
func TestMigrateAtOnce(t *testing.T) {
	schema := newSchema(t)
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			for range 2 {
				if err := Migrate(t.Context(), database(t), schema); err != nil {
					t.Errorf("Migrate: %v", err)
				}
			}
		})
	}
	wg.Wait()
}

// Two nodes trim at once while both append.
func TestTrimAtOnce(t *testing.T) {
	schema := newSchema(t)
	var nodes []*Log
	for range 2 {
		nodes = append(nodes, openLog(t, LogOptions{Schema: schema, KeepEvents: 20, KeepVolatile: 10, DedupEvents: 30}))
	}
	var wg sync.WaitGroup
	for n, l := range nodes {
		wg.Go(func() {
			for i := range 60 {
				for r := range 3 {
					mustAppend(t, l, fmt.Sprint("room ", r), append(logtest.Events(im.Normal, fmt.Sprint(n, "-", i)), logtest.Events(im.Volatile, fmt.Sprint(n, "-v", i))...)...)
				}
			}
		})
		wg.Go(func() {
			for range 40 {
				if err := l.Trim(t.Context(), time.Now()); err != nil {
					t.Errorf("Trim: %v", err)
				}
			}
		})
	}
	wg.Wait()
	if err := nodes[0].Trim(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	for r := range 3 {
		p, err := nodes[0].Read(t.Context(), fmt.Sprint("room ", r), im.Range{Max: 1000})
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Events) != 30 {
			t.Errorf("room %d keeps %d events, want 20 and 10", r, len(p.Events))
		}
	}
	var rows, counted int
	err := database(t).QueryRow(t.Context(), nodes[0].schema.sql("SELECT (SELECT count(*) FROM @.event), (SELECT sum(kept + volatiles + past) FROM @.room)")).Scan(&rows, &counted)
	if err != nil || rows != counted || rows != 3*40 {
		t.Errorf("%d rows, of which the rooms count %d, want %d; error %v", rows, counted, 3*40, err)
	}
}

// A pool that cannot connect: nothing was stored, and the error says so.
func TestServerIsNotThere(t *testing.T) {
	l := openLog(t, LogOptions{Schema: newSchema(t), Timeout: 300 * time.Millisecond})
	c := database(t).Config()
	c.ConnConfig.Port = 1
	here := l.pool
	l.pool = newPool(t, c)
	if _, err := l.Append(t.Context(), "room", logtest.Events(im.Normal, "a")); !errors.Is(err, im.ErrNotStored) {
		t.Errorf("Append without a server: %v, want ErrNotStored", err)
	}
	if _, err := l.Head(t.Context(), "room"); err == nil || errors.Is(err, im.ErrGap) {
		t.Errorf("Head without a server: %v", err)
	}
	l.pool = here
	if a := mustAppend(t, l, "room", logtest.Events(im.Normal, "a")...); a[0].Status != im.Stored {
		t.Errorf("the retry is %s, want stored", a[0].Status)
	}
}

// An append that waits when its context ends has done nothing; the one that
// runs has an outcome that is not known.
func TestAppendWhoseContextEnds(t *testing.T) {
	l := openLog(t, LogOptions{Schema: newSchema(t)})
	mustAppend(t, l, "room", logtest.Events(im.Normal, "first")...)
	tx, err := database(t).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(context.Background())
	if _, err := tx.Exec(t.Context(), l.schema.sql("SELECT FROM @.room FOR UPDATE")); err != nil {
		t.Fatal(err)
	}
	running, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := l.Append(running, "room", logtest.Events(im.Normal, "a")); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, im.ErrNotStored) {
		t.Errorf("Append that runs: %v, want the context's error and no ErrNotStored", err)
	}
	waiting, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := l.Append(waiting, "room", logtest.Events(im.Normal, "b")); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, im.ErrNotStored) {
		t.Errorf("Append that waits: %v, want the context's error and ErrNotStored", err)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	out := mustAppend(t, l, "room", logtest.Events(im.Normal, "a", "b")...)
	if out[0].Status != im.Duplicate || out[1].Status != im.Stored {
		t.Errorf("the retries are %s and %s, want duplicate and stored", out[0].Status, out[1].Status)
	}
}

// All logs of a schema have one secret, and two schemas have two.
func TestSecret(t *testing.T) {
	schema := newSchema(t)
	a, b := openLog(t, LogOptions{Schema: schema}).Secret(), openLog(t, LogOptions{Schema: schema}).Secret()
	other := openLog(t, LogOptions{Schema: newSchema(t)}).Secret()
	if len(a) != 32 || string(a) != string(b) || string(a) == string(other) {
		t.Errorf("the secrets are %x, %x and of another schema %x", a, b, other)
	}
}
