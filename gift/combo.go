package gift

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/liveim/im/ledger"
)

// comboEntry is what the ledger keeps of the newest combo of a giver, a gift and a room.
type comboEntry struct {
	ID    string `json:"id"`    // that of its first order
	Count int64  `json:"count"` // gifts so far
	Last  int64  `json:"last"`  // when, in milliseconds since 1970
}

// combo puts an order into a combo: its own, or the one that it continues. That is decided in the commit that charges the order, and
// stored with it: an order that is retried or recovered shows the count that it got then, and no other order gets the same.
func (g *Gifts) combo(ctx context.Context, r *record) ([]ledger.Change, error) {
	key := "gift/combo/" + hashed(r.Room, r.User, r.Item)
	var c comboEntry
	e, err := g.ledger.Get(ctx, key)
	switch {
	case errors.Is(err, ledger.ErrNotFound):
		e = ledger.Entry{Key: key, Kind: "gift.combo"}
	case err != nil:
		return nil, err
	default:
		if err := json.Unmarshal(e.Data, &c); err != nil {
			return nil, fmt.Errorf("gift: the ledger's entry %q is no combo: %w", key, err)
		}
	}
	now := g.now().UnixMilli()
	if c.ID == "" || now-c.Last > r.Combo {
		c = comboEntry{ID: r.ID}
	}
	c.Count, c.Last = min(c.Count+r.Count, MaxAmount), max(c.Last, now)
	if e.Data, err = json.Marshal(c); err != nil {
		return nil, err
	}
	e.Room, e.User = r.Room, r.User
	r.Body.Combo = &Combo{ID: c.ID, Count: c.Count, WindowMS: r.Combo}
	return []ledger.Change{{Entry: e}}, nil
}
