package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/internal/wire"
)

const (
	// reactEvery is how long reactions gather before they are sent as one.
	reactEvery = 250 * time.Millisecond
	// maxReact is how many are sent as one: no server counts fewer, unless its host wants it to.
	maxReact = 10
	// maxGathered is how many wait to be sent, of one kind; more are left out.
	maxGathered = 10_000
)

// reactions are those of one kind that wait to be sent. They are protected by Client.mu.
type reactions struct {
	n     int
	timer bool // runs, or some are under way
}

// Like adds n likes to the room's; see [Room.React].
func (r *Room) Like(n int) error { return r.React(im.Like, n) }

// React adds n reactions of a kind to the room's total of them. It returns at once: what comes within a quarter of a second is sent
// as one, and again later if the server says that it is too much. Each counts once at most: what is under way when
// the connection is lost is not sent again. What the server refuses for good is logged.
//
// An error says that the client is not in the room any more; see [Room.Err]. The total is what [Room.Get] returns for the key
// "im.total." and the kind.
func (r *Room) React(kind im.Kind, n int) error {
	if n < 1 {
		return fmt.Errorf("client: React %d times: want a positive number", n)
	}
	c := r.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.err != nil {
		return r.err
	}
	if c.err != nil {
		return c.err
	}
	if r.reacting == nil {
		r.reacting = map[im.Kind]*reactions{}
	}
	w := r.reacting[kind]
	if w == nil {
		w = &reactions{}
		r.reacting[kind] = w
	}
	w.n = min(w.n+min(n, maxGathered), maxGathered)
	if !w.timer {
		w.timer = true
		r.reactAfter(kind, reactEvery)
	}
	return nil
}

func (r *Room) reactAfter(kind im.Kind, d time.Duration) {
	time.AfterFunc(d, func() {
		r.c.mu.Lock()
		defer r.c.mu.Unlock()
		r.sendReactions(kind)
	})
}

// sendReactions sends what has gathered, and goes on until nothing is left. Client.mu is held.
func (r *Room) sendReactions(kind im.Kind) {
	w := r.reacting[kind]
	n := min(w.n, maxReact)
	if n == 0 || r.err != nil || r.c.err != nil {
		delete(r.reacting, kind)
		return
	}
	w.n -= n
	body, _ := json.Marshal(map[string]int{"n": n})
	k := &call{req: wire.Request{Op: wire.OpSend, Room: r.name, Kind: string(kind), Body: body}, room: r}
	k.finish = func(_ *wire.Message, err error) {
		wait := reactEvery
		var refusal *im.Error
		switch {
		case errors.As(err, &refusal) && (refusal.Code == im.CodeRateLimited || refusal.Code == im.CodeOverloaded):
			w.n, wait = min(w.n+n, maxGathered), max(wait, refusal.RetryAfter)
		case err != nil && !errors.Is(err, ErrConnLost) && r.err == nil:
			r.c.log.Warn("reactions are not counted", "room", r.name, "kind", kind, "n", n, "error", err)
		}
		r.reactAfter(kind, wait)
	}
	if err := r.c.begin(k); err != nil {
		delete(r.reacting, kind)
	}
}
