package gift

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/ledger"
)

// board keeps the lists of one room up to date. Totals change with the orders, the lists a moment later, many at once.
// While that is to come, the board's entry in the ledger is due, so that it comes also after a crash.
type board struct {
	room    string
	marking sync.Mutex // held while the entry is made due

	mu     sync.Mutex // protects the fields below
	marked time.Time  // until then the entry is not due yet, but will be
	active int        // orders whose totals are about to change
	dirty  map[string]bool
	anew   bool // all is to be read
	asleep bool // a refresh will come
	last   time.Time
}

const (
	boardMark  = time.Minute      // until a board that was left behind is taken up
	boardSlack = 20 * time.Second // for what is under way
)

// boardLocked returns the board of a room. g.mu is held.
func (g *Gifts) boardLocked(room string) *board {
	b := g.boards[room]
	if b == nil {
		b = &board{room: room, dirty: map[string]bool{}}
		g.boards[room] = b
	}
	return b
}

func boardKey(room string) string { return "gift/board/" + hashed(room) }

// beginTotal announces that a total is about to change. done says of which user, whether it has or not.
func (g *Gifts) beginTotal(ctx context.Context, room string) (done func(user string), err error) {
	g.mu.Lock()
	b := g.boardLocked(room)
	b.mu.Lock()
	b.active++ // from here on nobody takes the board or its mark away
	b.mu.Unlock()
	g.mu.Unlock()
	if err := b.ensureMark(ctx, g); err != nil {
		b.mu.Lock()
		b.active--
		b.mu.Unlock()
		return nil, err
	}
	return func(user string) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.active--
		b.dirty[user] = true
		b.scheduleLocked(g)
	}, nil
}

func (b *board) ensureMark(ctx context.Context, g *Gifts) error {
	b.marking.Lock()
	defer b.marking.Unlock()
	b.mu.Lock()
	fresh := g.now().Add(boardSlack).Before(b.marked)
	b.mu.Unlock()
	if fresh {
		return nil
	}
	return b.mark(ctx, g)
}

// mark makes the entry due in a while.
func (b *board) mark(ctx context.Context, g *Gifts) error {
	for {
		e, _, err := g.readBoard(ctx, b.room)
		if err != nil {
			return err
		}
		now := g.now()
		if !e.Due.After(now.Add(2 * boardSlack)) {
			e.Due = now.Add(boardMark)
			_, err = g.ledger.Commit(ctx, ledger.Change{Entry: e})
			if errors.Is(err, ledger.ErrStale) {
				continue
			}
			if err != nil {
				return err
			}
		}
		b.mu.Lock()
		b.marked = e.Due
		b.mu.Unlock()
		return nil
	}
}

// scheduleLocked has the lists refreshed, not sooner than Options.TopEvery after the last time. After Close it is left to the
// mark.
func (b *board) scheduleLocked(g *Gifts) {
	if b.asleep {
		return
	}
	wait := max(b.last.Add(g.opts.TopEvery).Sub(g.now()), 0)
	b.asleep = true
	go func() { // b.mu is never held while g.mu is taken
		begun := g.begin(func() {
			timer := time.NewTimer(min(wait, g.opts.TopEvery))
			defer timer.Stop()
			select {
			case <-timer.C:
			case <-g.closing:
			}
			b.refresh(g)
		})
		if !begun {
			b.mu.Lock()
			b.asleep = false
			b.mu.Unlock()
		}
	}()
}

// refresh brings the lists up to date and shows them.
func (b *board) refresh(g *Gifts) {
	b.mu.Lock()
	dirty, anew := b.dirty, b.anew
	b.dirty, b.anew, b.asleep, b.last = map[string]bool{}, false, false, g.now()
	b.mu.Unlock()
	ctx, cancel := context.WithTimeout(g.life, boardSlack)
	defer cancel()
	err := b.write(ctx, g, dirty, anew)
	if err == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for user := range dirty {
		b.dirty[user] = true
	}
	b.anew = b.anew || anew
	if g.life.Err() == nil {
		g.opts.Logger.Warn("gift: the top givers of a room are not up to date", "room", b.room, "error", err)
		b.scheduleLocked(g)
	}
}

// retireBoards forgets boards for which nothing is to come.
func (g *Gifts) retireBoards() {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	for room, b := range g.boards {
		b.mu.Lock()
		if b.active == 0 && len(b.dirty) == 0 && !b.anew && !b.asleep && now.After(b.last.Add(g.opts.TopEvery)) {
			delete(g.boards, room)
		}
		b.mu.Unlock()
	}
}

// write updates the lists in the room's state, and then in the ledger.
func (b *board) write(ctx context.Context, g *Gifts, dirty map[string]bool, anew bool) error {
	for {
		e, lists, err := g.readBoard(ctx, b.room)
		if err != nil {
			return err
		}
		periods := g.periods(b.room)
		for scope, period := range periods {
			if lists[scope], err = g.update(ctx, lists[scope], b.room, scope, period, dirty, anew); err != nil {
				return err
			}
			if err := g.publish(ctx, b.room, scope, lists[scope], e.Version+1); err != nil {
				return err
			}
		}
		if e.Data, err = json.Marshal(lists); err != nil {
			return err
		}
		if b.idle() {
			e.Due = time.Time{}
		}
		if _, err = g.ledger.Commit(ctx, ledger.Change{Entry: e}); !errors.Is(err, ledger.ErrStale) {
			return err
		}
	}
}

// idle reports whether nothing is to come, and forgets the mark then: whoever comes makes it anew, and of that and the
// commit which takes it away one is stale.
func (b *board) idle() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.active > 0 || len(b.dirty) > 0 || b.anew {
		return false
	}
	b.marked = time.Time{}
	return true
}

// readBoard returns the lists of a room and the entry that holds them, which is new if there is none.
func (g *Gifts) readBoard(ctx context.Context, room string) (ledger.Entry, map[string]*ranking, error) {
	lists := map[string]*ranking{}
	e, err := g.ledger.Get(ctx, boardKey(room))
	if errors.Is(err, ledger.ErrNotFound) {
		return ledger.Entry{Key: boardKey(room), Kind: kindBoard, Room: room, Data: []byte("{}")}, lists, nil
	}
	if err != nil {
		return e, nil, err
	}
	if err := json.Unmarshal(e.Data, &lists); err != nil {
		return e, nil, fmt.Errorf("gift: the ledger's entry %q is no board: %w", e.Key, err)
	}
	return e, lists, nil
}

// rebuildBoard takes up a board that a crash has left behind.
func (g *Gifts) rebuildBoard(_ context.Context, e ledger.Entry) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	b := g.boardLocked(e.Room)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.anew, b.marked = true, e.Due
	b.scheduleLocked(g)
	return nil
}

// publish shows a list in the state of its room, unless a newer one is there.
func (g *Gifts) publish(ctx context.Context, room, scope string, l *ranking, rev uint64) error {
	r, key := g.hub.Room(room), "gift.top."+scope
	list := TopList{Period: l.Period, Currency: g.opts.Currency, Top: l.Top[:min(len(l.Top), g.opts.Top)], Rev: rev}
	value, err := shorten(&list)
	if err != nil {
		return err
	}
	var opts []im.SetOption
	if scope == scopeDay {
		y, m, d := g.now().In(g.opts.Zone).Date()
		opts = append(opts, im.WithTTL(time.Date(y, m, d+1, 0, 0, 0, 0, g.opts.Zone).Sub(g.now())+time.Second))
	}
	for range 10 {
		old, version, err := r.State().Get(ctx, key)
		if err != nil {
			return err
		}
		var shown TopList
		if version != 0 && json.Unmarshal(old, &shown) == nil && (shown.Rev >= rev || list.same(&shown)) {
			return nil
		}
		_, err = r.Set(ctx, key, value, append(opts, im.IfVersion(version))...)
		var refusal *im.Error
		if !errors.As(err, &refusal) || refusal.Code != im.CodeConflict && refusal.Code != im.CodeRoomClosed {
			return err
		}
	}
	g.opts.Logger.Warn("gift: the room does not take the list of its top givers", "room", room, "key", key)
	return nil
}

// same reports whether two lists say the same.
func (l *TopList) same(o *TopList) bool {
	if l.Period != o.Period || l.Currency != o.Currency || len(l.Top) != len(o.Top) {
		return false
	}
	for n := range l.Top {
		if l.Top[n] != o.Top[n] {
			return false
		}
	}
	return true
}

// shorten encodes a list, without its last lines if it would not fit into a key of a room's state.
func shorten(l *TopList) (json.RawMessage, error) {
	if l.Top == nil {
		l.Top = []Giver{}
	}
	for {
		value, err := json.Marshal(l)
		if err != nil || len(value) <= maxShown || len(l.Top) == 0 {
			return value, err
		}
		l.Top = l.Top[:len(l.Top)-1]
	}
}
