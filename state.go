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
// exist. Use the version with [IfVersion].
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
		for k, cell := range f.cells {
			all[k] = cell.Value
		}
	})
	return all, nil
}

// SetOption is an option of [Room.Set], [Room.Delete] and [Room.SetModes].
type SetOption func(*setRequest)

type setRequest struct {
	change stateChange
	id     string
	from   Author
}

// IfVersion makes a change conditional: the key must have this version, or must
// not exist if it is 0. If it is not so when the change reaches its place in the log,
// the change has no effect and the error is [ErrConflict].
func IfVersion(version uint64) SetOption {
	return func(r *setRequest) { r.change.If = &version }
}

// SetAs makes a change come from a user instead of from the host.
func SetAs(u User) SetOption { return func(r *setRequest) { r.from = u.author() } }

// SetID gives the change an id, so that making it again after an outcome that is
// not known has no second effect, as [WithID] does for events.
func SetID(id string) SetOption { return func(r *setRequest) { r.id = id } }

// Set gives a key of the room's state a value and returns the version of the
// key. value is anything that encodes to JSON. Set returns after this node has
// folded the change; whether it took effect is decided at its place in the log, equally
// on all nodes. Keys are 1 to 128 bytes and must not begin with "im.".
func (r *Room) Set(ctx context.Context, key string, value any, opts ...SetOption) (version uint64, err error) {
	if err := checkOwnKey(key); err != nil {
		return 0, err
	}
	raw, err := r.hub.encodeBody(value)
	if err != nil {
		return 0, err
	}
	return r.change(ctx, stateChange{Key: key, Value: raw}, opts)
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

func (r *Room) change(ctx context.Context, change stateChange, opts []SetOption) (uint64, error) {
	req := setRequest{change: change}
	for _, opt := range opts {
		opt(&req)
	}
	_, version, err := r.setState(ctx, &req)
	return version, err
}

// checkOwnKey checks a key that a host or a client sets by its name.
func checkOwnKey(key string) error {
	if err := checkStateKey(key); err != nil {
		return errorf(CodeBadRequest, "%v", err)
	}
	return nil
}

// setState appends a change whose key was checked, waits for the fold and returns the
// event's id and what came of it.
func (r *Room) setState(ctx context.Context, req *setRequest) (id string, version uint64, err error) {
	body, err := r.hub.encodeBody(req.change)
	if err != nil {
		return "", 0, err
	}
	c, err := r.hub.core(ctx, r.id)
	if err != nil {
		return "", 0, err
	}
	defer c.release()
	change := &Event{ID: req.id, Kind: State, From: req.from, Body: body}
	if change.ID == "" {
		r.hub.name(ctx, change)
	}
	if !validID(change.ID, maxID) {
		return "", 0, errorf(CodeBadRequest, "an id is 1 to %d bytes of UTF-8 without control characters", maxID)
	}
	e, _, err := c.append(ctx, change)
	if err != nil {
		return "", 0, err
	}
	if err := c.await(ctx, e.Pos); err != nil {
		return e.ID, 0, err
	}
	var o outcome
	var known bool
	c.folded(func(f *fold) { o, known = f.outcome.get(e.ID) })
	switch {
	case !known:
		return e.ID, 0, &Error{Code: CodeConflict, Reason: "the change is too long ago to tell what became of it"}
	case o.Reason != "":
		return e.ID, 0, &Error{Code: CodeConflict, Reason: o.Reason}
	}
	return e.ID, o.Version, nil
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
	c.folded(func(f *fold) { found = f.cells[key] })
	return found
}
