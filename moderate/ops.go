package moderate

import (
	"bytes"
	"context"
	"encoding/json"
	"iter"
	"net/netip"
	"slices"
	"time"

	"github.com/liveim/im"
)

// operation is one that clients may call.
type operation struct {
	name  string
	right Right
	query bool
	run   func(m *Moderation, ctx context.Context, r *im.Request, b *body) (any, error)
}

// operations are all of them. That each has its right here, and nowhere else, is what the tests of rights go by.
var operations = []operation{
	{"mod.mute", MayMute, false, opImpose(Mute)},
	{"mod.shadow", MayShadow, false, opImpose(Shadow)},
	{"mod.ban", MayBan, false, opImpose(Ban)},
	{"mod.unmute", MayMute, false, opLift(Mute)},
	{"mod.unshadow", MayShadow, false, opLift(Shadow)},
	{"mod.unban", MayBan, false, opLift(Ban)},
	{"mod.kick", MayBan, false, (*Moderation).opKick},
	{"mod.delete", MayDelete, false, (*Moderation).opDelete},
	{"mod.pass", MayApprove, false, (*Moderation).opPass},
	{"mod.refuse", MayApprove, false, (*Moderation).opRefuse},
	{"mod.waiting", MayApprove, true, (*Moderation).opWaiting},
	{"mod.approval", MayApprove, false, (*Moderation).opApproval},
	{"mod.modes", MayModes, false, (*Moderation).opModes},
	{"mod.pin", MayPin, false, (*Moderation).opPin},
	{"mod.unpin", MayPin, false, (*Moderation).opUnpin},
	{"mod.announce", MayPin, false, (*Moderation).opAnnounce},
	{"mod.report", MayReport, false, (*Moderation).opReport},
	{"mod.reports", MayModerate, true, (*Moderation).opReports},
	{"mod.resolve", MayModerate, false, (*Moderation).opResolve},
	{"mod.sanctions", MayModerate, true, (*Moderation).opSanctions},
	{"mod.why", MayModerate, true, (*Moderation).opWhy},
}

// body is what the operations take, each its fields; docs/protocol.md says which. Unknown ones are refused, so that a
// misspelt limit is not taken for none.
type body struct {
	User   string          `json:"user"`
	Prefix string          `json:"prefix"`
	Device string          `json:"device"`
	By     string          `json:"by"` // "address" or "device": those that the user has now, in place of the user
	Millis int64           `json:"ms"`
	Reason string          `json:"reason"`
	Hub    bool            `json:"hub"`
	Seq    uint64          `json:"seq"`
	Seqs   []uint64        `json:"seqs"`
	Kinds  []im.Kind       `json:"kinds"`
	Event  string          `json:"event"`
	ID     string          `json:"id"`
	Text   string          `json:"text"`
	Modes  json.RawMessage `json:"modes"`
}

func (m *Moderation) register() {
	for _, o := range operations {
		handle := m.hub.Handle
		if o.query {
			handle = m.hub.HandleQuery
		}
		handle(o.name, func(ctx context.Context, r *im.Request) (any, error) {
			if r.Room == "" {
				return nil, badRequest("%s is about a room: name it", r.Op)
			}
			if err := m.need(r.User, r.Room, o.right); err != nil {
				return nil, err
			}
			b := new(body)
			d := json.NewDecoder(bytes.NewReader(r.Body))
			d.DisallowUnknownFields()
			if len(r.Body) > 0 {
				if err := d.Decode(b); err != nil {
					return nil, badRequest("the body of %s: %v", r.Op, err)
				}
			}
			if b.Hub {
				if err := m.need(r.User, r.Room, MayHub); err != nil {
					return nil, err
				}
			}
			if o.right != MayReport {
				m.staff.of(r.Room).add(r.Session)
			}
			return o.run(m, ctx, r, b)
		})
	}
}

// scope is the room that a request is about, "" for all.
func (b *body) scope(r *im.Request) string {
	if b.Hub {
		return ""
	}
	return r.Room
}

// targets are whom a request is about. Those of whom only the address or device is meant must be connected to this node.
func (m *Moderation) targets(r *im.Request, b *body) ([]Target, error) {
	if b.User != "" {
		if err := m.above(r.User, r.Room, b.User); err != nil {
			return nil, err
		}
	}
	switch {
	case b.By == "":
		t := Target{User: b.User, Device: b.Device}
		if b.Prefix != "" {
			p, err := parsePrefix(b.Prefix)
			if err != nil {
				return nil, err
			}
			t.Prefix = p
		}
		if err := t.check(); err != nil {
			return nil, err
		}
		return []Target{t}, m.spares(r, t)
	case b.User == "" || b.By != "address" && b.By != "device":
		return nil, badRequest(`"by" is "address" or "device", and goes with "user"`)
	}
	var list []Target
	for _, s := range m.hub.User(b.User).Sessions() {
		sub, t := m.subject(s), Target{}
		if b.By == "device" {
			t.Device = sub.device
		} else if sub.addr.IsValid() {
			t.Prefix = network(sub.addr)
		}
		if t != (Target{}) && !slices.Contains(list, t) {
			list = append(list, t)
		}
	}
	if len(list) == 0 {
		return nil, &im.Error{Code: im.CodeNotFound, Reason: "the user is not connected here, or has no such " + b.By}
	}
	for _, t := range list {
		if err := m.spares(r, t); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// spares refuses a sanction of a prefix or device that would hit somebody in the room who does not stand below.
func (m *Moderation) spares(r *im.Request, t Target) error {
	if t.User != "" {
		return nil
	}
	for u := range m.hub.Room(r.Room).Members() {
		if m.opts.Role(u, r.Room) < m.opts.Role(r.User, r.Room) {
			continue
		}
		for _, s := range m.hub.User(u.ID).Sessions() {
			sub := m.subject(s)
			if t.Device != "" && sub.device == t.Device || t.Prefix.IsValid() && t.Prefix.Contains(sub.addr) {
				return &im.Error{Code: im.CodeForbidden, Reason: "this would hit somebody who does not stand below you"}
			}
		}
	}
	return nil
}

// network is what an address is blocked by: all of an IPv4 address, the first 64 bits of an IPv6 one.
func network(a netip.Addr) netip.Prefix {
	n := 32
	if a.Is6() {
		n = 64
	}
	p, _ := a.Prefix(n) // n is within the address
	return p
}

// Least lengths of prefixes that clients may sanction: a shorter one is a mistake.
const (
	leastV4 = 16
	leastV6 = 32
)

func parsePrefix(s string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if a, err2 := netip.ParseAddr(s); err2 == nil {
		p, err = network(a.Unmap()), nil
	}
	switch {
	case err != nil:
		return p, badRequest(`"prefix" is an address, or a prefix such as 203.0.113.0/24`)
	case p.Addr().Is4() && p.Bits() < leastV4 || p.Addr().Is6() && p.Bits() < leastV6:
		return p, badRequest("the prefix is too short: want at least %d bits of an IPv4 address, %d of an IPv6 one", leastV4, leastV6)
	}
	return p.Masked(), nil
}

func opImpose(sort Sort) func(*Moderation, context.Context, *im.Request, *body) (any, error) {
	return func(m *Moderation, ctx context.Context, r *im.Request, b *body) (any, error) {
		targets, err := m.targets(r, b)
		if err != nil {
			return nil, err
		}
		d := time.Duration(min(b.Millis, int64(maxPeriod/time.Millisecond)+1)) * time.Millisecond
		imposed := []Sanction{}
		for _, t := range targets {
			s, err := m.Impose(ctx, b.scope(r), sort, t, d, r.User.ID, b.Reason)
			if err != nil {
				return nil, err
			}
			imposed = append(imposed, s)
		}
		return map[string]any{"sanctions": imposed}, nil
	}
}

func opLift(sort Sort) func(*Moderation, context.Context, *im.Request, *body) (any, error) {
	return func(m *Moderation, ctx context.Context, r *im.Request, b *body) (any, error) {
		t := Target{User: b.User, Device: b.Device}
		if b.Prefix != "" {
			p, err := parsePrefix(b.Prefix)
			if err != nil {
				return nil, err
			}
			t.Prefix = p
		}
		return nil, m.Lift(ctx, b.scope(r), sort, t, r.User.ID, b.Reason)
	}
}

func (m *Moderation) opKick(ctx context.Context, r *im.Request, b *body) (any, error) {
	if b.User == "" {
		return nil, badRequest(`mod.kick needs a "user"`)
	}
	if err := m.above(r.User, r.Room, b.User); err != nil {
		return nil, err
	}
	if err := m.hub.Room(r.Room).Kick(ctx, b.User, b.Reason); err != nil {
		return nil, err
	}
	m.decide(ctx, r.Room, Decision{Action: "kick", By: r.User.ID, User: b.User, Reason: b.Reason})
	return nil, nil
}

func (m *Moderation) opDelete(ctx context.Context, r *im.Request, b *body) (any, error) {
	what := im.Removal{User: b.User, Kinds: b.Kinds, Reason: b.Reason}
	head, err := m.hub.Room(r.Room).Position(ctx)
	if err != nil {
		return nil, err
	}
	for _, seq := range b.Seqs {
		what.Positions = append(what.Positions, im.Position{Epoch: head.Epoch, Seq: seq})
	}
	authors := []string{}
	if b.User != "" {
		authors = append(authors, b.User)
	}
	for _, seq := range b.Seqs {
		e, err := m.find(ctx, r.Room, seq)
		if err == nil && e.From.ID != "" && !slices.Contains(authors, e.From.ID) {
			authors = append(authors, e.From.ID)
		}
	}
	for _, author := range authors {
		if author == r.User.ID {
			continue // one's own
		}
		if err := m.above(r.User, r.Room, author); err != nil {
			return nil, err
		}
	}
	if err := m.Delete(ctx, r.Room, what, r.User); err != nil {
		return nil, err
	}
	return nil, nil
}

// Delete deletes messages of a room; see [im.Room.Remove]. by is who does it, for the record and for the viewers.
func (m *Moderation) Delete(ctx context.Context, room string, what im.Removal, by im.User) error {
	var opts []im.SendOption
	if by.ID != "" {
		opts = append(opts, im.AsUser(by))
	}
	e, err := m.hub.Room(room).Remove(ctx, what, opts...)
	if err != nil {
		return err
	}
	m.decide(ctx, room, Decision{Action: "delete", By: by.ID, User: what.User, Event: e.ID, Text: string(e.Body), Reason: what.Reason})
	return nil
}

func (m *Moderation) opPass(ctx context.Context, r *im.Request, b *body) (any, error) {
	return nil, m.Pass(ctx, r.Room, b.Event, r.User.ID)
}

func (m *Moderation) opRefuse(ctx context.Context, r *im.Request, b *body) (any, error) {
	return nil, m.Refuse(ctx, r.Room, b.Event, r.User.ID, b.Reason)
}

func (m *Moderation) opWaiting(_ context.Context, r *im.Request, _ *body) (any, error) {
	return map[string]any{"waiting": m.Waiting(r.Room)}, nil
}

func (m *Moderation) opApproval(ctx context.Context, r *im.Request, b *body) (any, error) {
	return nil, m.SetApproval(ctx, r.Room, Approval{Kinds: b.Kinds}, r.User.ID)
}

func (m *Moderation) opModes(ctx context.Context, r *im.Request, b *body) (any, error) {
	var modes im.Modes
	if err := json.Unmarshal(b.Modes, &modes); err != nil {
		return nil, badRequest(`mod.modes needs "modes", as modes.set has them: %v`, err)
	}
	version, err := m.hub.Room(r.Room).SetModes(ctx, modes, im.SetAs(r.User))
	if err != nil {
		return nil, err
	}
	m.decide(ctx, r.Room, Decision{Action: "modes", By: r.User.ID, Text: string(b.Modes)})
	return map[string]uint64{"version": version}, nil
}

func (m *Moderation) opPin(ctx context.Context, r *im.Request, b *body) (any, error) {
	d := time.Duration(min(b.Millis, int64(maxPeriod/time.Millisecond)+1)) * time.Millisecond
	if b.Seq != 0 {
		return nil, m.pinEvent(ctx, r.Room, b.Seq, r.User.ID, d)
	}
	return nil, m.PinText(ctx, r.Room, Pin{ID: b.ID, Text: b.Text, By: r.User.ID, From: r.User.Name}, d)
}

func (m *Moderation) opUnpin(ctx context.Context, r *im.Request, b *body) (any, error) {
	return nil, m.Unpin(ctx, r.Room, b.ID, r.User.ID)
}

func (m *Moderation) opAnnounce(ctx context.Context, r *im.Request, b *body) (any, error) {
	if b.Text == "" || len(b.Text) > maxPinText {
		return nil, badRequest("the text of an announcement has 1 to %d bytes", maxPinText)
	}
	e, err := m.hub.Room(r.Room).Send(ctx, im.Notice, map[string]string{"text": b.Text}, im.AsUser(r.User))
	if err != nil {
		return nil, err
	}
	m.decide(ctx, r.Room, Decision{Action: "announce", By: r.User.ID, Event: e.ID, Text: b.Text})
	return map[string]uint64{"seq": e.Pos.Seq}, nil
}

func (m *Moderation) opReport(ctx context.Context, r *im.Request, b *body) (any, error) {
	if len(b.Reason) > 500 {
		return nil, badRequest("a reason has at most 500 bytes")
	}
	return nil, m.report(ctx, r.Room, r.User, b.Seq, b.Reason)
}

func (m *Moderation) opReports(_ context.Context, r *im.Request, _ *body) (any, error) {
	return map[string]any{"reports": m.Reports(r.Room)}, nil
}

func (m *Moderation) opResolve(ctx context.Context, r *im.Request, b *body) (any, error) {
	return nil, m.Resolve(ctx, r.Room, b.ID, r.User.ID, b.Reason)
}

func (m *Moderation) opSanctions(ctx context.Context, r *im.Request, b *body) (any, error) {
	list, err := m.Sanctions(ctx, b.scope(r))
	return map[string]any{"sanctions": list}, err
}

func (m *Moderation) opWhy(_ context.Context, r *im.Request, b *body) (any, error) {
	list := m.Why(r.Room, b.User, b.Event)
	return map[string]any{"decisions": list[:min(len(list), 100)]}, nil
}

// Operations yields the operations that clients may call, each with the right that it needs.
func Operations() iter.Seq2[string, Right] {
	return func(yield func(string, Right) bool) {
		for _, o := range operations {
			if !yield(o.name, o.right) {
				return
			}
		}
	}
}
