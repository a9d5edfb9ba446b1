package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/liveim/im"
)

// group is the calls that go into one statement, and its result.
type group struct {
	calls []*call
	first []*im.Event    // of each ID, in order; the group's own
	index map[string]int // of an ID in first

	room   int64  // the row
	epoch  string // the room's now
	before uint64 // the head when the group was stored
	places []place
}

// place is where the event with an ID stands.
type place struct {
	pos    im.Position
	fresh  bool   // it was stored by this statement
	digest string // of the event that stands there
}

func newGroup(calls []*call) *group {
	g := &group{calls: calls, index: map[string]int{}}
	for _, c := range calls {
		for _, e := range c.events {
			if _, ok := g.index[e.ID]; !ok {
				g.index[e.ID] = len(g.first)
				g.first = append(g.first, e)
			}
		}
	}
	return g
}

// run runs the statement and notes what it says.
func (g *group) run(ctx context.Context, conn *pgxpool.Conn, statement, room string, shift time.Duration) error {
	n := len(g.first)
	ids, digests, kinds := make([][]byte, n), make([][]byte, n), make([][]byte, n)
	fromIDs, fromNames, bodies := make([][]byte, n), make([][]byte, n), make([][]byte, n)
	classes, ats, ns := make([]int16, n), make([]time.Time, n), make([]int64, n)
	for i, e := range g.first {
		ids[i], digests[i], kinds[i] = []byte(e.ID), []byte(e.Digest), []byte(e.Kind)
		fromIDs[i], fromNames[i], bodies[i] = []byte(e.From.ID), []byte(e.From.Name), e.Body
		if bodies[i] == nil {
			bodies[i] = []byte{} // nil would be NULL
		}
		classes[i], ats[i], ns[i] = int16(e.Class), clampTime(e.At), int64(e.N)
	}
	var before int64
	var seqs []int64
	var old [][]byte
	err := conn.QueryRow(ctx, statement, []byte(room), shift, ids, digests, classes, kinds, ats, fromIDs, fromNames, bodies, ns).
		Scan(&g.room, &g.epoch, &before, &seqs, &old)
	if err != nil {
		return err
	}
	if len(seqs) != n || len(old) != n {
		return fmt.Errorf("the server answered %d places for %d events: is the schema of this version?", len(seqs), n)
	}
	g.before = uint64(before)
	g.places = make([]place, n)
	for i, e := range g.first {
		p := place{pos: im.Position{Epoch: g.epoch, Seq: uint64(seqs[i])}, fresh: old[i] == nil, digest: e.Digest}
		if !p.fresh {
			p.digest = string(old[i])
		}
		g.places[i] = p
	}
	return nil
}

// fresh returns the events that were stored now, with their positions.
func (g *group) fresh() []*im.Event {
	var events []*im.Event
	for i, e := range g.first {
		if g.places[i].fresh {
			e.Pos = g.places[i].pos
			events = append(events, e)
		}
	}
	return events
}

// answer gives every call its results. An ID that is repeated within the group
// is answered like one that was there already.
func (g *group) answer(err error) {
	for _, c := range g.calls {
		c.err = err
		if err == nil {
			c.results = make([]im.Appended, len(c.events))
			for i, e := range c.events {
				k := g.index[e.ID]
				p := &g.places[k]
				a := im.Appended{Pos: p.pos, Status: im.Duplicate}
				switch {
				case e.Digest != p.digest:
					a.Status = im.Conflict
				case p.fresh && e == g.first[k]:
					a.Status = im.Stored
				}
				c.results[i] = a
			}
		}
		close(c.done)
	}
}

// isAnswer reports whether err is what the server says of a statement.
func isAnswer(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e)
}
