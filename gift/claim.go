package gift

import (
	"context"
	"errors"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/ledger"
)

// claimQueue gathers claims of one packet that come at the same time, so that they become one commit.
type claimQueue struct {
	waiting []*claimAsk // protected by Gifts.mu
}

// claimAsk is one claim that waits.
type claimAsk struct {
	room, user, name string
	done             chan claimResult // has room for the one
	twin             *claimAsk        // another of the same user, which gets the same answer
}

type claimResult struct {
	share *Payout
	err   error
}

// claimBatch is how many claims one commit has at most. A ledger takes 1,000 changes.
const claimBatch = 400

func claimKey(packet, user string) string { return "gift/claim/" + packet + "/" + user }

// claimAnswer is the answer to "packet.claim".
type claimAnswer struct {
	Packet   string `json:"packet"`
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
}

// claim answers "packet.claim". A user has one share of a packet, and gets the same answer however often they ask, with
// whatever cid.
func (g *Gifts) claim(ctx context.Context, req *im.Request) (any, error) {
	var id string
	if err := decodeStrict(req.Body, field{name: "packet", text: &id}); err != nil {
		return nil, err
	}
	if len(id) != 22 {
		return nil, refuse(im.CodeNotFound, "there is no such red packet in this room")
	}
	ask := &claimAsk{room: req.Room, user: req.User.ID, name: req.User.Name, done: make(chan claimResult, 1)}
	if !g.enqueue(id, ask) {
		return nil, errClosing
	}
	select {
	case result := <-ask.done:
		if result.err != nil {
			return nil, g.mishap("claim a share of a red packet", result.err)
		}
		return claimAnswer{Packet: id, Amount: result.share.Amount, Currency: result.share.Currency}, nil
	case <-ctx.Done():
		return nil, &im.Error{Code: im.CodeTimeout, RetryAfter: time.Second}
	}
}

// enqueue has the claim decided, with those that wait already.
func (g *Gifts) enqueue(packet string, ask *claimAsk) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	key := [2]string{packet, ask.room} // whoever asks from elsewhere does not come among the others
	q := g.claims[key]
	if q == nil {
		q = &claimQueue{}
		g.claims[key] = q
		g.running.Go(func() { g.decideClaims(key, q) })
	}
	q.waiting = append(q.waiting, ask)
	return true
}

// decideClaims decides all claims that wait, and ends when none does.
func (g *Gifts) decideClaims(key [2]string, q *claimQueue) {
	for {
		g.mu.Lock()
		batch := q.waiting[:min(len(q.waiting), claimBatch)]
		q.waiting = q.waiting[len(batch):]
		if len(batch) == 0 {
			delete(g.claims, key)
		}
		g.mu.Unlock()
		if len(batch) == 0 {
			return
		}
		ctx, cancel := context.WithTimeout(g.life, g.opts.Lease)
		if err := g.decideBatch(ctx, key[0], batch); err != nil {
			for _, a := range batch {
				a.answer(nil, err)
			}
		}
		cancel()
	}
}

// answer answers the claim and its twins, unless they have their answer.
func (a *claimAsk) answer(share *Payout, err error) {
	for ; a != nil; a = a.twin {
		select {
		case a.done <- claimResult{share, err}:
		default:
		}
	}
}

// decideBatch gives shares to claims, in one commit. On an error those without an answer have none yet.
func (g *Gifts) decideBatch(ctx context.Context, id string, batch []*claimAsk) error {
	asks, err := g.newClaims(ctx, id, batch)
	if err != nil {
		return err
	}
	for len(asks) > 0 {
		e, p, err := g.loadPacket(ctx, asks[0].room, id)
		if err != nil {
			return err
		}
		changes, shares, err := g.shareOut(ctx, e, p, asks)
		if err != nil {
			return err
		}
		if len(shares) > 0 {
			_, err = g.ledger.Commit(ctx, changes...)
		}
		var stale *ledger.StaleError
		if errors.As(err, &stale) {
			// The packet, or a claim that another process was told of: look again.
			if asks, err = g.newClaims(ctx, id, asks); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		for n, a := range asks {
			if n < len(shares) {
				a.answer(shares[n], nil)
			} else {
				a.answer(nil, over(e, p))
			}
		}
		g.nudge()
		return nil
	}
	return nil
}

// over says why there is no share.
func over(e ledger.Entry, p *packet) error {
	if e.State == packetClosed || e.State == packetRecalled || p.Claimed < p.Shares && e.State != packetEmpty {
		return refuse(im.CodeForbidden, "the red packet has expired")
	}
	return refuse(im.CodeForbidden, "the red packet is empty: others were faster")
}

// newClaims answers those claims whose users have a share, and returns the rest, one of each user.
func (g *Gifts) newClaims(ctx context.Context, id string, asks []*claimAsk) ([]*claimAsk, error) {
	rest := make([]*claimAsk, 0, len(asks))
	first := map[string]*claimAsk{}
	for _, a := range asks {
		if f := first[a.user]; f != nil {
			a.twin, f.twin = f.twin, a
			continue
		}
		share, err := g.claimed(ctx, id, a.user)
		if err != nil {
			return nil, err
		}
		if share != nil {
			a.answer(share, nil)
			continue
		}
		first[a.user] = a
		rest = append(rest, a)
	}
	return rest, nil
}

// claimed returns the share that a user has claimed, or nil.
func (g *Gifts) claimed(ctx context.Context, id, user string) (*Payout, error) {
	e, err := g.ledger.Get(ctx, claimKey(id, user))
	if errors.Is(err, ledger.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return payoutOf(e)
}

// shareOut makes the changes that give the next shares to as many claims as there are shares for.
func (g *Gifts) shareOut(ctx context.Context, e ledger.Entry, p *packet, asks []*claimAsk) (changes []ledger.Change, given []*Payout, err error) {
	now := g.now()
	if e.State != packetOpen || now.UnixMilli() >= p.Until {
		return nil, nil, nil
	}
	shares, err := p.shares()
	if err != nil {
		return nil, nil, err
	}
	after := *p
	for _, a := range asks {
		if after.Claimed == after.Shares {
			break
		}
		o := &Payout{
			ID: hashed("gift share", p.ID, a.user), Sort: PayoutShare, State: PayoutOwed, Packet: p.ID,
			Room: e.Room, User: a.user, Name: a.name, Amount: shares[after.Claimed], Currency: p.Currency,
		}
		after.Claimed++
		after.Paid += o.Amount
		owed, err := o.entry(ledger.Entry{Key: claimKey(p.ID, a.user), Due: now})
		if err != nil {
			return nil, nil, err
		}
		if err := g.audit(ctx, Transition{Payout: o, Version: 1}, "payout.owed"); err != nil {
			return nil, nil, err
		}
		changes, given = append(changes, ledger.Change{Entry: owed}), append(given, o)
	}
	if after.Paid > after.Sum { // it cannot be; money stops here if it is
		return nil, nil, errors.New("gift: the shares of a red packet exceed its sum")
	}
	if after.Claimed == after.Shares {
		e.State, e.Due = packetEmpty, time.Time{}
	}
	if e, err = after.entry(e); err != nil {
		return nil, nil, err
	}
	return append(changes, ledger.Change{Entry: e}), given, nil
}
