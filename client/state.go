package client

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/liveim/im/internal/wire"
)

// WithTTL makes the key disappear by itself after d, which is rounded up to milliseconds. An Increment without it leaves
// the time as it was.
func WithTTL(d time.Duration) SetOption {
	return func(s *stateChange) { s.TTL = int64((d + time.Millisecond - 1) / time.Millisecond) }
}

// Owned makes the key this client's user's: it disappears a few seconds after the user's last
// connection has left the room. Rules of the server may ask for it.
func Owned() SetOption { return func(s *stateChange) { s.Owner = true } }

// AtLeast refuses an [Room.Increment] after which the counter would be less than n, with im.CodeConflict.
func AtLeast(n int64) SetOption { return func(s *stateChange) { s.Min = &n } }

// AtMost refuses an [Room.Increment] after which the counter would be more than n, with im.CodeConflict.
func AtMost(n int64) SetOption { return func(s *stateChange) { s.Max = &n } }

// Increment adds delta, which may be negative, to a key that holds a whole number, and returns the sum and the key's
// version. A key that is not there counts as 0. It is otherwise like [Room.Set].
func (r *Room) Increment(ctx context.Context, key string, delta int64, opts ...SetOption) (value int64, version uint64, err error) {
	a, err := r.change(ctx, wire.OpStateAdd, stateChange{Key: key, Add: &delta}, opts)
	return a.Value, a.Version, err
}

// changed is what the answer to a change tells.
type changed struct {
	Version uint64 `json:"version"`
	Value   int64  `json:"value"`
}

func (r *Room) change(ctx context.Context, op string, s stateChange, opts []SetOption) (changed, error) {
	for _, o := range opts {
		o(&s)
	}
	raw, err := json.Marshal(&s)
	if err != nil {
		return changed{}, fmt.Errorf("client: encode the change of %q: %w", s.Key, err)
	}
	return r.set(ctx, op, raw)
}

// set makes a change of the state and returns what the answer tells.
func (r *Room) set(ctx context.Context, op string, body json.RawMessage) (answer changed, err error) {
	receipt, err := r.c.doOnce(ctx, r, wire.Request{Op: op, Room: r.name, CID: r.c.newCID(), Body: body})
	if err != nil {
		return changed{}, err
	}
	if len(receipt.Body) > 0 {
		if err := json.Unmarshal(receipt.Body, &answer); err != nil {
			return changed{}, fmt.Errorf("client: the version that %s answers: %w", op, err)
		}
	}
	return answer, nil
}
