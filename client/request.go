package client

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/internal/wire"
)

// Receipt is the fate of a request that had an effect, or may have had one.
type Receipt struct {
	// Status is one of StatusOK, StatusMerged, StatusShed and StatusHeld if there is no
	// error; with one it is StatusRefused if the server refused it, or else
	// StatusUnknown.
	Status Status
	// CID is the client id under which it was sent, and under which it may be
	// sent again.
	CID string
	// Event is the id of the event, if there is one.
	Event string
	// Reason says why, in words for people, if Status is StatusShed.
	Reason string
	// Body is what an operation returned. Optional.
	Body json.RawMessage
}

// Send sends an event to the room. body is anything that encodes to JSON; 4 KiB
// is the usual limit.
//
// It returns when the fate of the event is known, which over a bad connection
// may take several attempts; they have one effect. A refusal of the server is an
// *im.Error. If ctx ends first the outcome is open: call [Room.SendAs] with
// Receipt.CID and the same body to go on.
func (r *Room) Send(ctx context.Context, kind im.Kind, body any) (Receipt, error) {
	return r.SendAs(ctx, r.c.newCID(), kind, body)
}

// SendAs is [Room.Send] under a cid that the application chooses: 1 to 64 bytes
// of printable ASCII, to be used again for the same event only, by the same
// user on whatever device or client.
func (r *Room) SendAs(ctx context.Context, cid string, kind im.Kind, body any) (Receipt, error) {
	raw, err := encode(body)
	if err != nil {
		return Receipt{Status: StatusRefused, CID: cid}, err
	}
	return r.c.doOnce(ctx, r, wire.Request{Op: wire.OpSend, Room: r.name, Kind: string(kind), CID: cid, Body: raw})
}

// Call asks for an operation that the host has registered, for example
// "gift.send". room is the room that it is about, or "". The rules are those
// of [Room.Send]: it is sent under a cid of its own, and again if need be.
func (c *Client) Call(ctx context.Context, op, room string, body any) (Receipt, error) {
	return c.CallAs(ctx, c.newCID(), op, room, body)
}

// CallAs is [Client.Call] under a cid that the application chooses; see [Room.SendAs].
func (c *Client) CallAs(ctx context.Context, cid, op, room string, body any) (Receipt, error) {
	raw, err := encode(body)
	if err != nil {
		return Receipt{Status: StatusRefused, CID: cid}, err
	}
	c.mu.Lock()
	r := c.rooms[room]
	c.mu.Unlock()
	return c.doOnce(ctx, r, wire.Request{Op: op, Room: room, CID: cid, Body: raw})
}

// encode is json.Marshal, but for nil, which is no body at all.
func encode(body any) (json.RawMessage, error) {
	if body == nil {
		return nil, nil
	}
	raw, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("client: encode the body: %w", err)
	}
	return raw, nil
}

// stateChange is the body of "state.set" and "state.add".
type stateChange struct {
	Key    string          `json:"key"`
	Value  json.RawMessage `json:"value,omitempty"`
	Delete bool            `json:"delete,omitempty"`
	Add    *int64          `json:"add,omitempty"`
	If     *uint64         `json:"if,omitempty"`
	Min    *int64          `json:"min,omitempty"`
	Max    *int64          `json:"max,omitempty"`
	TTL    int64           `json:"ttl_ms,omitempty"`
	Owner  bool            `json:"owner,omitempty"`
}

// SetOption is an option of [Room.Set], [Room.Increment], [Room.Delete] and [Room.SetModes].
type SetOption func(*stateChange)

// IfVersion lets a change take effect only if the key has this version, as
// [Room.Get] returned it; 0 means that the key must not exist. Otherwise the
// change is refused with im.CodeConflict.
func IfVersion(version uint64) SetOption {
	return func(s *stateChange) { s.If = &version }
}

// Set sets a key of the room's state to anything that encodes to JSON, and
// returns the version that it then has. It is sent as [Room.Send] sends. The
// change shows in [Room.Get] when its event has come, which may be later.
func (r *Room) Set(ctx context.Context, key string, value any, opts ...SetOption) (version uint64, err error) {
	raw, err := json.Marshal(value)
	if err != nil {
		return 0, fmt.Errorf("client: encode the value of %q: %w", key, err)
	}
	a, err := r.change(ctx, wire.OpStateSet, stateChange{Key: key, Value: raw}, opts)
	return a.Version, err
}

// Delete removes a key of the room's state. It is otherwise like [Room.Set].
func (r *Room) Delete(ctx context.Context, key string, opts ...SetOption) error {
	_, err := r.change(ctx, wire.OpStateSet, stateChange{Key: key, Delete: true}, opts)
	return err
}

// SetTier changes which events are delivered, from now on and after reconnects.
// [TierChanged] is the place among the updates from which on it holds.
func (r *Room) SetTier(ctx context.Context, tier Tier) error {
	c := r.c
	c.mu.Lock()
	err, in, old := r.err, r.in, r.tier
	r.tier = tier
	req := wire.Request{Op: wire.OpTier, Room: r.name, Tier: cmp.Or(string(tier), string(TierFull))}
	c.mu.Unlock()
	if err != nil || !in {
		return err
	}
	_, err = c.do(ctx, &call{req: req, room: r})
	if errors.Is(err, ErrConnLost) || errors.Is(err, &im.Error{Code: im.CodeNotJoined}) {
		return nil // the next join is with the new tier
	}
	if errors.As(err, new(*im.Error)) { // refused
		c.mu.Lock()
		defer c.mu.Unlock()
		r.tier = old
	}
	return err
}

// Leave ends the membership: the others see the client leave, and no update
// comes any more. The room is over at once, whatever is returned; an error, of
// ctx for example, means only that the server may notice it later.
func (r *Room) Leave(ctx context.Context) error {
	c := r.c
	c.mu.Lock()
	in := r.in || r.joining != nil
	c.drop(r, ErrLeft)
	c.mu.Unlock()
	if !in {
		return nil
	}
	_, err := c.do(ctx, &call{req: wire.Request{Op: wire.OpLeave, Room: r.name}})
	if errors.Is(err, ErrConnLost) || errors.Is(err, &im.Error{Code: im.CodeNotJoined}) {
		return nil
	}
	return err
}

// Ping measures how long the way to the server and back takes, and returns the
// server's clock, in milliseconds' precision.
func (c *Client) Ping(ctx context.Context) (rtt time.Duration, server time.Time, err error) {
	a, err := c.do(ctx, &call{req: wire.Request{Op: wire.OpPing}})
	if err != nil {
		return 0, time.Time{}, err
	}
	return time.Since(a.sent), time.UnixMilli(a.msg.At), nil
}

// Refresh calls Options.Token and hands its token to the server, so that the
// connection outlives the old one. Without it, the connection ends when the token
// does, and the client connects again with a new one.
func (c *Client) Refresh(ctx context.Context) error {
	if c.opt.Token == nil {
		return errors.New("client: Refresh needs Options.Token")
	}
	token, err := c.opt.Token(ctx)
	if err != nil {
		return fmt.Errorf("client: get a token: %w", err)
	}
	_, err = c.do(ctx, &call{req: wire.Request{Op: wire.OpRefresh, Token: token}})
	return err
}
