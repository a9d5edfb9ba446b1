package im

import (
	"context"
	"encoding/json"
	"time"
)

// RoomState reads the attributes of a room as this node has folded them. What it
// returns never goes back in time on one node, unless the log itself was lost.
type RoomState struct {
	room *Room
}

// State returns the room's state.
func (r *Room) State() RoomState { return RoomState{r} }

// Get returns the value of a key and its version, nil and 0 if the key does not
// exist. Use the version with [IfVersion]. What other nodes have written a moment ago may
// not be folded yet: call [RoomState.Sync] before where that matters.
func (s RoomState) Get(ctx context.Context, key string) (value json.RawMessage, version uint64, err error) {
	c, err := s.room.hub.core(ctx, s.room.id)
	if err != nil {
		return nil, 0, err
	}
	defer c.release()
	cell := c.cell(key)
	return cell.Value, cell.Version, nil
}

// All returns every key with its value.
func (s RoomState) All(ctx context.Context) (map[string]json.RawMessage, error) {
	c, err := s.room.hub.core(ctx, s.room.id)
	if err != nil {
		return nil, err
	}
	defer c.release()
	all := map[string]json.RawMessage{}
	c.folded(func(f *fold) {
		for k, cell := range f.cells.m {
			all[k] = cell.Value
		}
	})
	return all, nil
}

// SetOption is an option of [Room.Set], [Room.Delete], [Room.Increment] and [Room.SetModes].
type SetOption func(*setRequest)

type setRequest struct {
	change stateChange
	ttl    time.Duration
	id     string
	from   Author
	digest string // of what was asked for; empty: of change and ttl
}

// IfVersion makes a change conditional: the key must have this version, or must
// not exist if it is 0. If it is not so when the change reaches its place in the log,
// the change has no effect and the error is [ErrConflict].
func IfVersion(version uint64) SetOption {
	return func(r *setRequest) { r.change.If = &version }
}

// WithTTL removes the key when d has passed, by Options.Now, unless it is set again before; an [Room.Increment] without it leaves
// the time as it was. 1 ms to 3,660 days, rounded up to milliseconds. The key
// disappears by an event of the log, at the same place for everybody and at most a second late, also if the process
// was down meanwhile. A wall clock that is set forward makes keys expire earlier, at most a minute after it was set.
func WithTTL(d time.Duration) SetOption { return func(r *setRequest) { r.ttl = d } }

// WithOwner removes the key when the user's last session has left the room, on whatever node, and none has come back for
// Options.State.OwnerGrace: seats and raised hands are such keys. An Increment without it leaves the owner as it was. Who owns a key and is not in the room when it is set
// has that time to come in; after a restart of the server, owners have 30 s. On each node the room must be in use for that
// to be noticed, as it is where anybody can see the key.
func WithOwner(userID string) SetOption { return func(r *setRequest) { r.change.Owner = userID } }

// AtLeast refuses a [Room.Increment] after which the counter would be less than n. The error is [ErrConflict].
func AtLeast(n int64) SetOption { return func(r *setRequest) { r.change.Min = &n } }

// AtMost refuses a [Room.Increment] after which the counter would be more than n. The error is [ErrConflict].
func AtMost(n int64) SetOption { return func(r *setRequest) { r.change.Max = &n } }

// SetAs makes a change come from a user instead of from the host.
func SetAs(u User) SetOption { return func(r *setRequest) { r.from = u.author() } }

// SetID gives the change an id, so that making it again after an outcome that is
// not known has no second effect, as [WithID] does for events.
func SetID(id string) SetOption { return func(r *setRequest) { r.id = id } }

// Set gives a key of the room's state a value and returns the version of the
// key. value is anything that encodes to JSON, up to 4 KiB. Set returns after this node has
// folded the change; whether it took effect is decided at its place in the log, equally
// on all nodes. Keys are 1 to 128 bytes and must not begin with "im.". A room has at most 1,000 keys, and 256 KiB of keys,
// values and owners; what would exceed that has no effect, and the error is [ErrConflict].
//
// A key that begins with "~" is private: no client sees or changes it, and no history shows its changes. It is for
// what every node must know and no viewer, such as who is banned. Private keys are counted apart: 10,000, and 1 MiB.
func (r *Room) Set(ctx context.Context, key string, value any, opts ...SetOption) (version uint64, err error) {
	if err := checkOwnKey(key); err != nil {
		return 0, err
	}
	raw, err := r.hub.encodeBody(value)
	if err != nil {
		return 0, err
	}
	o, err := r.change(ctx, stateChange{Key: key, Value: raw}, opts)
	return o.Version, err
}

// Delete removes a key, as Set does with values. A key that is not there is no
// error.
func (r *Room) Delete(ctx context.Context, key string, opts ...SetOption) error {
	if err := checkOwnKey(key); err != nil {
		return err
	}
	_, err := r.change(ctx, stateChange{Key: key, Delete: true}, opts)
	return err
}

// Increment adds delta, which may be negative, to a key that holds a whole number, and returns the
// sum and the version of the key. A key that is not there counts as 0. Increments that meet in the log all count. One that would leave
// the bounds of [AtLeast] and [AtMost], or the numbers that JavaScript can hold, ±(2^53-1), has no effect, and neither has one of
// a key that holds something else: the error is [ErrConflict]. It is otherwise as [Room.Set]. With [SetID], a retry returns the first sum.
func (r *Room) Increment(ctx context.Context, key string, delta int64, opts ...SetOption) (value int64, version uint64, err error) {
	if err := checkOwnKey(key); err != nil {
		return 0, 0, err
	}
	o, err := r.change(ctx, stateChange{Key: key, Add: &delta}, opts)
	if err != nil || o.N == nil {
		return 0, 0, err
	}
	return *o.N, o.Version, nil
}

func (r *Room) change(ctx context.Context, change stateChange, opts []SetOption) (outcome, error) {
	req := setRequest{change: change}
	for _, opt := range opts {
		opt(&req)
	}
	if err := req.check(); err != nil {
		return outcome{}, err
	}
	_, o, err := r.setState(ctx, &req)
	return o, err
}

const maxTTL = 3660 * 24 * time.Hour

// check reports options that do not fit the change.
func (r *setRequest) check() error {
	c := &r.change
	switch {
	case r.ttl < 0 || r.ttl > maxTTL:
		return errorf(CodeBadRequest, "WithTTL is %v: want 1ms to %v", r.ttl, maxTTL)
	case c.Add == nil && (c.Min != nil || c.Max != nil):
		return errorf(CodeBadRequest, "AtLeast and AtMost are for Room.Increment")
	case (c.Delete || c.Key == modesKey) && (r.ttl != 0 || c.Owner != ""):
		return errorf(CodeBadRequest, "WithTTL and WithOwner are for Room.Set and Room.Increment")
	case c.Owner != "" && !validID(c.Owner, maxID):
		return errorf(CodeBadRequest, "an owner is the id of a user, 1 to %d bytes of UTF-8 without control characters", maxID)
	}
	return nil
}

// checkOwnKey checks a key that a host or a client sets by its name.
func checkOwnKey(key string) error {
	if err := checkStateKey(key); err != nil {
		return errorf(CodeBadRequest, "%v", err)
	}
	return nil
}

// stateEvent makes the event of a change, and its digest of what was asked for: a retry comes later, so that
// its keys would expire later.
func (r *Room) stateEvent(req *setRequest) (*Event, error) {
	e := &Event{ID: req.id, Kind: State, From: req.from, Digest: req.digest}
	if len(req.change.Value) > maxStateValue {
		return nil, errorf(CodeTooLarge, "the value has %d bytes; the limit of a key of a room's state is %d", len(req.change.Value), maxStateValue)
	}
	if req.ttl > 0 {
		req.change.Until = millis(req.ttl)
		if e.Digest == "" {
			body, err := r.hub.encodeBody(req.change)
			if err != nil {
				return nil, err
			}
			e.Digest = r.hub.digest(State, req.from.ID, body)
		}
		req.change.Until += r.hub.opts.Now().UnixMilli()
	}
	var err error
	e.Body, err = r.hub.encodeBody(req.change)
	return e, err
}

// setState appends a change whose key was checked, waits for the fold and returns the
// event's id and what came of it.
func (r *Room) setState(ctx context.Context, req *setRequest) (id string, o outcome, err error) {
	e, err := r.stateEvent(req)
	if err != nil {
		return "", o, err
	}
	if e.ID == "" {
		r.hub.name(ctx, e)
	}
	if !validID(e.ID, maxID) {
		return "", o, errorf(CodeBadRequest, "an id is 1 to %d bytes of UTF-8 without control characters", maxID)
	}
	c, err := r.hub.core(ctx, r.id)
	if err != nil {
		return "", o, err
	}
	defer c.release()
	if e, _, err = c.append(ctx, e); err != nil {
		return "", o, err
	}
	if err := c.await(ctx, e.Pos); err != nil {
		return e.ID, o, err
	}
	var known bool
	c.folded(func(f *fold) { o, known = f.outcome.get(e.ID) })
	switch {
	case !known:
		return e.ID, outcome{}, &Error{Code: CodeConflict, Reason: "the change is too long ago to tell what became of it"}
	case o.Reason != "":
		return e.ID, outcome{}, &Error{Code: CodeConflict, Reason: o.Reason}
	}
	return e.ID, o, nil
}

// folded calls f with the fold of everything that was received. f must not keep it.
func (c *core) folded(f func(*fold)) {
	c.mu.Lock()
	c.sealLocked(time.Now())
	f(c.fold)
	c.mu.Unlock()
	c.obey()
}

func (c *core) cell(key string) (found cell) {
	c.folded(func(f *fold) { found = f.cells.get(key) })
	return found
}
