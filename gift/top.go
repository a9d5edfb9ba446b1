package gift

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/ledger"
)

// What a list of top givers is over.
const (
	scopeStream = "stream"
	scopeDay    = "day"
	scopeAll    = "all"
)

// kept is how many givers a list has in the ledger: those that are shown, and those who may move up.
const kept = 100

// ranked reports whether an order counts for the top givers.
func (g *Gifts) ranked(r *record) bool {
	return r.Sort != SortPacket && r.Currency == g.opts.Currency
}

// periods are the lists of a room, each with what it is over now.
func (g *Gifts) periods(room string) map[string]string {
	p := map[string]string{scopeDay: g.now().In(g.opts.Zone).Format(time.DateOnly), scopeAll: ""}
	if g.opts.Stream != nil {
		p[scopeStream] = g.stream(room)
	}
	return p
}

// stream asks the host which stream is on. A panic of its code does not end the process.
func (g *Gifts) stream(room string) (name string) {
	defer func() {
		if p := recover(); p != nil {
			g.opts.Logger.Error("gift: Options.Stream panicked", "room", room, "panic", p, "stack", string(debug.Stack()))
		}
	}()
	return g.opts.Stream(room)
}

// totalPrefix begins the keys of what the givers of a room have given in a period. The user's id follows.
func (g *Gifts) totalPrefix(room, scope, period string) string {
	return "gift/total/" + hashed(room, scope, period, g.opts.Currency) + "/"
}

// totalData is what a user has given.
type totalData struct {
	Amount int64  `json:"amount"`
	Name   string `json:"name,omitempty"`
}

// total adds amount, which may be negative, to what the giver of an order has given.
func (g *Gifts) total(ctx context.Context, r *record, amount int64) ([]ledger.Change, error) {
	periods := map[string]string{scopeDay: r.Day, scopeAll: ""}
	if g.opts.Stream != nil {
		periods[scopeStream] = r.Stream
	}
	changes := make([]ledger.Change, 0, len(periods))
	for scope, period := range periods {
		e, t, err := g.readTotal(ctx, g.totalPrefix(r.Room, scope, period)+r.User)
		if err != nil {
			return nil, err
		}
		t.Amount, t.Name = addSum(t.Amount, amount), r.Name
		if e.Data, err = json.Marshal(t); err != nil {
			return nil, err
		}
		e.Kind, e.Room, e.User = "gift.total", r.Room, r.User
		changes = append(changes, ledger.Change{Entry: e})
	}
	return changes, nil
}

func (g *Gifts) readTotal(ctx context.Context, key string) (e ledger.Entry, t totalData, err error) {
	e, err = g.ledger.Get(ctx, key)
	if errors.Is(err, ledger.ErrNotFound) {
		return ledger.Entry{Key: key}, t, nil
	}
	if err != nil {
		return e, t, err
	}
	if err := json.Unmarshal(e.Data, &t); err != nil {
		return e, t, fmt.Errorf("gift: the ledger's entry %q is no total: %w", key, err)
	}
	return e, t, nil
}

// ranking is a list of top givers as the ledger has it.
type ranking struct {
	Period string  `json:"period,omitempty"`
	Top    []Giver `json:"top"`
	More   bool    `json:"more,omitempty"` // there may be givers who are not in Top
}

// put gives a user their place. It reports false if somebody who is not in Top may have to move up.
func (l *ranking) put(u Giver) bool {
	fell := false
	if n := slices.IndexFunc(l.Top, func(x Giver) bool { return x.ID == u.ID }); n >= 0 {
		fell = u.Amount < l.Top[n].Amount
		l.Top = slices.Delete(l.Top, n, n+1)
	}
	if u.Amount > 0 {
		n, _ := slices.BinarySearchFunc(l.Top, u, byAmount)
		l.Top = slices.Insert(l.Top, n, u)
	}
	whole := !fell || !l.More
	l.cut()
	return whole
}

func (l *ranking) cut() {
	if len(l.Top) > kept {
		l.Top, l.More = l.Top[:kept], true
	}
}

// byAmount orders givers: most first.
func byAmount(a, b Giver) int {
	return cmp.Or(cmp.Compare(b.Amount, a.Amount), cmp.Compare(a.ID, b.ID))
}

// scan makes a ranking from what the ledger has.
func (g *Gifts) scan(ctx context.Context, room, scope, period string) (*ranking, error) {
	l := &ranking{Period: period}
	q := ledger.Query{Prefix: g.totalPrefix(room, scope, period), Max: 1000}
	for {
		entries, err := g.ledger.List(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			var t totalData
			if err := json.Unmarshal(e.Data, &t); err != nil {
				return nil, fmt.Errorf("gift: the ledger's entry %q is no total: %w", e.Key, err)
			}
			if t.Amount > 0 {
				l.Top = append(l.Top, Giver{ID: e.User, Name: t.Name, Amount: t.Amount})
			}
		}
		slices.SortFunc(l.Top, byAmount)
		l.cut()
		if len(entries) < q.Max {
			return l, nil
		}
		q.After = entries[len(entries)-1].Key
	}
}

// update brings a ranking up to date: with the users who are dirty if it is of this period, or else anew.
func (g *Gifts) update(ctx context.Context, l *ranking, room, scope, period string, dirty map[string]bool, anew bool) (*ranking, error) {
	if l == nil || l.Period != period || anew {
		return g.scan(ctx, room, scope, period)
	}
	for user := range dirty {
		_, t, err := g.readTotal(ctx, g.totalPrefix(room, scope, period)+user)
		if err != nil {
			return nil, err
		}
		if !l.put(Giver{ID: user, Name: t.Name, Amount: t.Amount}) {
			return g.scan(ctx, room, scope, period)
		}
	}
	return l, nil
}

// showTop answers "gift.top".
func (g *Gifts) showTop(ctx context.Context, req *im.Request) (any, error) {
	scope := scopeAll
	if err := decodeStrict(req.Body, field{name: "list", text: &scope, optional: true}); err != nil {
		return nil, err
	}
	period, ok := g.periods(req.Room)[scope]
	if !ok {
		return nil, refuse(im.CodeNotFound, "there is no list %.40q here", scope)
	}
	answer := TopList{Period: period, Currency: g.opts.Currency, Top: []Giver{}}
	_, board, err := g.readBoard(ctx, req.Room)
	if err != nil {
		return nil, g.mishap("read the top givers", err)
	}
	if l := board.Lists[scope]; l != nil && l.Period == period {
		answer.Top = append(answer.Top, l.Top...)
	}
	return answer, nil
}
