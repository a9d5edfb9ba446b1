package im

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"github.com/liveim/im/internal/wire"
)

// stateBody is the body of "state.set" and "state.add".
type stateBody struct {
	Key    string          `json:"key"`
	Value  json.RawMessage `json:"value"`
	Delete bool            `json:"delete"`
	Add    *int64          `json:"add"`
	If     *uint64         `json:"if"`
	Min    *int64          `json:"min"`
	Max    *int64          `json:"max"`
	TTL    int64           `json:"ttl_ms"`
	Owner  bool            `json:"owner"`
}

// setState answers "state.set" and "state.add".
func (s *Session) setState(ctx context.Context, req *wire.Request) error {
	if err := s.mayAct(ctx, req.Room); err != nil {
		return err
	}
	u := s.User()
	parse := func(body json.RawMessage) (setRequest, error) {
		r, err := parseStateChange(req.Op, body, &u)
		if err == nil {
			err = s.hub.mayChange(&u, &r.change)
		}
		return r, err
	}
	if _, err := parse(req.Body); err != nil {
		return err
	}
	if err := s.takeChange(req, &u); err != nil {
		return err
	}
	return s.change(ctx, req, req.Body, parse)
}

// takeChange counts a change of the state against its user.
func (s *Session) takeChange(req *wire.Request, u *User) error {
	if err := checkCID(req.CID); err != nil {
		return err
	}
	return s.hub.limits.takeUser(u, State, 1, s.hub.steady())
}

// change makes a change of the state and answers with what came of it. parse reads the body as the
// interceptors have left it.
func (s *Session) change(ctx context.Context, req *wire.Request, body json.RawMessage, parse func(json.RawMessage) (setRequest, error)) error {
	var result outcome
	draft := s.draft(req, s.User(), State)
	draft.Body = body
	receipt, err := s.hub.submit(ctx, draft, func(ctx context.Context, d *Draft) (Receipt, error) {
		r, err := parse(d.Body)
		if err != nil {
			return Receipt{}, err
		}
		r.from, r.id, r.digest = d.from, d.id, d.digest
		id, o, err := s.hub.Room(d.room).setState(ctx, &r)
		if err != nil {
			return unknownOr(err)
		}
		result = o
		return Receipt{Status: StatusOK, Event: id}, nil
	})
	if err != nil {
		return err
	}
	var answer json.RawMessage
	if receipt.Status == StatusOK {
		answer = result.body()
	}
	s.outlet.Send(wire.AppendAck(nil, req.ID, string(receipt.Status), receipt.Event, answer))
	return nil
}

// parseStateChange reads the body of "state.set" or "state.add".
func parseStateChange(op string, body json.RawMessage, u *User) (r setRequest, err error) {
	var b stateBody
	if err := json.Unmarshal(body, &b); err != nil {
		return r, errorf(CodeBadRequest, `the body of %s is {"key":…,"value":…}, {"key":…,"delete":true}, or for state.add {"key":…,"add":1}: %s`, op, describeJSON(err))
	}
	switch {
	case op == wire.OpStateAdd && (b.Add == nil || b.Delete || len(b.Value) > 0):
		return r, errorf(CodeBadRequest, `state.add needs "add", a whole number, and neither "value" nor "delete"`)
	case op == wire.OpStateSet && (b.Add != nil || b.Min != nil || b.Max != nil):
		return r, errorf(CodeBadRequest, `"add", "min" and "max" are for state.add`)
	case op == wire.OpStateSet && !b.Delete && len(b.Value) == 0:
		return r, errorf(CodeBadRequest, `state.set needs a "value", or "delete":true`)
	case b.Delete && (b.TTL != 0 || b.Owner):
		return r, errorf(CodeBadRequest, `what is deleted has neither "ttl_ms" nor "owner"`)
	}
	if b.Delete {
		b.Value = nil
	}
	r.change = stateChange{Key: b.Key, Value: b.Value, Delete: b.Delete, Add: b.Add, If: b.If, Min: b.Min, Max: b.Max}
	if b.Owner {
		r.change.Owner = u.ID
	}
	if b.TTL != 0 {
		if b.TTL < 0 || b.TTL > maxTTL.Milliseconds() {
			return r, errorf(CodeBadRequest, "ttl_ms is %d: want 1 to %d", b.TTL, maxTTL.Milliseconds())
		}
		r.ttl = time.Duration(b.TTL) * time.Millisecond
	}
	return r, checkOwnKey(b.Key)
}

// body is what the answer to a change tells.
func (o *outcome) body() json.RawMessage {
	b := strconv.AppendUint([]byte(`{"version":`), o.Version, 10)
	if o.N != nil {
		b = strconv.AppendInt(append(b, `,"value":`...), *o.N, 10)
	}
	return append(b, '}')
}
