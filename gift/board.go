package gift

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
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
	marked time.Time  // until then the entry has the mark of this process
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

// mark makes the entry due in a while, on behalf of this process.
func (b *board) mark(ctx context.Context, g *Gifts) error {
	for {
		e, data, err := g.readBoard(ctx, b.room)
		if err != nil {
			return err
		}
		// Always a commit, even if a mark is there: one that is about to be taken away is then stale.
		until := g.now().Add(boardMark)
		data.Marks[g.process] = until
		if e, err = data.entry(e); err != nil {
			return err
		}
		_, err = g.ledger.Commit(ctx, ledger.Change{Entry: e})
		if errors.Is(err, ledger.ErrStale) {
			continue
		}
		if err == nil {
			b.mu.Lock()
			b.marked = until
			b.mu.Unlock()
		}
		return err
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
		e, data, err := g.readBoard(ctx, b.room)
		if err != nil {
			return err
		}
		now := g.now()
		periods := g.periods(b.room)
		for scope, period := range periods {
			if data.Lists[scope], err = g.update(ctx, data.Lists[scope], b.room, scope, period, dirty, anew); err != nil {
				return err
			}
			if err := g.publish(ctx, b.room, scope, data.Lists[scope], e.Version+1); err != nil {
				return err
			}
		}
		if anew { // of processes that are no more, or have marked it again
			maps.DeleteFunc(data.Marks, func(_ string, until time.Time) bool { return !until.After(now) })
		}
		if b.idle() {
			delete(data.Marks, g.process)
		}
		if e, err = data.entry(e); err != nil {
			return err
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

// boardData is what the ledger keeps of a board.
type boardData struct {
	Lists map[string]*ranking  `json:"lists"`
	Marks map[string]time.Time `json:"marks,omitempty"` // by process: until then it will have written what it changes
}

// entry puts the board into an entry, due at its first mark.
func (d *boardData) entry(e ledger.Entry) (ledger.Entry, error) {
	e.Due = time.Time{}
	for _, until := range d.Marks {
		if e.Due.IsZero() || until.Before(e.Due) {
			e.Due = until
		}
	}
	var err error
	e.Data, err = json.Marshal(d)
	return e, err
}

// readBoard returns the board of a room and the entry that holds it, which is new if there is none.
func (g *Gifts) readBoard(ctx context.Context, room string) (ledger.Entry, *boardData, error) {
	data := &boardData{}
	e, err := g.ledger.Get(ctx, boardKey(room))
	switch {
	case errors.Is(err, ledger.ErrNotFound):
		e = ledger.Entry{Key: boardKey(room), Kind: kindBoard, Room: room}
	case err != nil:
		return e, nil, err
	default:
		if err := json.Unmarshal(e.Data, data); err != nil {
			return e, nil, fmt.Errorf("gift: the ledger's entry %q is no board: %w", e.Key, err)
		}
	}
	if data.Lists == nil {
		data.Lists = map[string]*ranking{}
	}
	if data.Marks == nil {
		data.Marks = map[string]time.Time{}
	}
	return e, data, nil
}

// rebuildBoard takes up a board that a crash has left behind.
func (g *Gifts) rebuildBoard(_ context.Context, e ledger.Entry) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	b := g.boardLocked(e.Room)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.anew = true
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
