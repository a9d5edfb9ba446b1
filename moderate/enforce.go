package moderate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/liveim/im"
)

// codeMuted is what a muted sender is told.
const codeMuted im.Code = "muted"

// codeBanned is what a banned user is told.
const codeBanned im.Code = "banned"

// subject is a client against whom sanctions may stand.
type subject struct {
	user   string
	device string
	addr   netip.Addr
}

func (m *Moderation) subject(s *im.Session) subject {
	sub := subject{user: s.User().ID, addr: s.Addr().Unmap()}
	if m.opts.Device != nil {
		sub.device = m.opts.Device(s)
	}
	return sub
}

// standings are what stands against a subject, by sort, in the room or in all rooms: the longest of each.
type standings [3]*Sanction

func (s *standings) of(sort Sort) *Sanction { return s[slices.Index(sorts, sort)] }

// against looks up what stands against a subject in a room and in the hub. Where nothing was ever imposed
// that is two looks at maps.
func (m *Moderation) against(ctx context.Context, sub subject, room string) (found standings, err error) {
	for _, where := range []string{room, ""} {
		state := m.state(where)
		_, moves, err := state.Get(ctx, keyMoves)
		if err != nil {
			return found, err
		}
		if moves == 0 {
			continue
		}
		targets := []Target{{User: sub.user}}
		if sub.device != "" {
			targets = append(targets, Target{Device: sub.device})
		}
		if sub.addr.IsValid() {
			prefixes, err := m.prefixes(ctx, state, sub.addr)
			if err != nil {
				return found, err
			}
			targets = append(targets, prefixes...)
		}
		for _, t := range targets {
			if err := found.take(ctx, state, t, where, m.opts.Now()); err != nil {
				return found, err
			}
		}
	}
	return found, nil
}

// prefixes are the targets that an address may be a part of.
func (m *Moderation) prefixes(ctx context.Context, state im.RoomState, addr netip.Addr) (list []Target, err error) {
	value, version, err := state.Get(ctx, keyLengths)
	if err != nil || version == 0 {
		return nil, err
	}
	var b bits
	if err := json.Unmarshal(value, &b); err != nil {
		return nil, fmt.Errorf("moderate: the lengths of prefixes in the state do not decode: %w", err)
	}
	for _, n := range *b.of(addr) {
		if p, err := addr.Prefix(n); err == nil {
			list = append(list, Target{Prefix: p})
		}
	}
	return list, nil
}

// take adds what stands against a target.
func (s *standings) take(ctx context.Context, state im.RoomState, t Target, room string, now time.Time) error {
	value, version, err := state.Get(ctx, t.key())
	if err != nil || version == 0 {
		return err
	}
	r, err := readRecord(value)
	if err != nil {
		return err
	}
	for i, sort := range sorts {
		next := r.sanction(sort, room)
		if next == nil || next.over(now) {
			continue
		}
		if old := s[i]; old == nil || !old.Until.IsZero() && (next.Until.IsZero() || next.Until.After(old.Until)) {
			s[i] = next
		}
	}
	return nil
}

// Against returns what stands against a session in a room, that of all rooms included: at most one sanction of each sort,
// the longest.
func (m *Moderation) Against(ctx context.Context, s *im.Session, room string) ([]Sanction, error) {
	found, err := m.against(ctx, m.subject(s), room)
	if err != nil {
		return nil, err
	}
	var list []Sanction
	for _, sanction := range found {
		if sanction != nil {
			list = append(list, *sanction)
		}
	}
	return list, nil
}

// admit keeps the banned out, and everybody out of the room that keeps what concerns the hub.
func (m *Moderation) admit(ctx context.Context, s *im.Session, room string) error {
	if room == m.opts.HubRoom {
		return &im.Error{Code: im.CodeForbidden, Reason: "this room is not for clients"}
	}
	found, err := m.against(ctx, m.subject(s), room)
	if err != nil {
		return err
	}
	if ban := found.of(Ban); ban != nil {
		return &im.Error{Code: codeBanned, Reason: banned(ban), RetryAfter: m.left(ban)}
	}
	return nil
}

func banned(s *Sanction) string { return sentence("you are banned from this room", s) }

// sentence tells somebody of a sanction.
func sentence(what string, s *Sanction) string {
	if s.Room == "" {
		what += " and all others"
	}
	if s.Reason != "" {
		what += ": " + s.Reason
	}
	return what
}

// left is how long a sanction goes on, 0 for good.
func (m *Moderation) left(s *Sanction) time.Duration {
	if s.Until.IsZero() {
		return 0
	}
	return max(s.Until.Sub(m.opts.Now()), time.Millisecond)
}

// intercept applies mutes, then checks, then approval.
func (m *Moderation) intercept(next im.SendFunc) im.SendFunc {
	return func(ctx context.Context, d *im.Draft) (im.Receipt, error) {
		found, err := m.against(ctx, m.subject(d.Session), d.Room)
		if err != nil {
			return im.Receipt{}, err
		}
		// A ban is a mute as well, until it has put the session out.
		for _, sort := range []Sort{Ban, Mute} {
			if s := found.of(sort); s != nil {
				return im.Receipt{}, &im.Error{Code: codeMuted, Reason: sentence("you are muted in this room", s), RetryAfter: m.left(s)}
			}
		}
		if !slices.Contains(m.opts.Kinds, d.Kind) {
			if found.of(Shadow) != nil {
				return m.pretend(d), nil
			}
			return next(ctx, d)
		}
		if m.opts.Role(d.From, d.Room) >= m.opts.Exempt {
			return next(ctx, d)
		}
		return m.screen(ctx, d, found.of(Shadow) != nil, next)
	}
}

// pretend is the answer to a message that nobody is shown. The sender's other connections are shown it, as they would
// be if it were said.
func (m *Moderation) pretend(d *im.Draft) im.Receipt {
	r := im.Receipt{Status: im.StatusOK, Event: d.EventID()}
	if d.Kind == im.Like {
		r = im.Receipt{Status: im.StatusMerged}
	}
	return r
}

// sweep puts out who was banned while in a room.
type sweep struct {
	mu   sync.Mutex        // guards the fields below
	seen map[string]uint64 // the count of changes of a room up to which all of its sessions were looked at
	late map[string]int    // rooms to be looked at again so many times
}

const (
	sweepEvery = 250 * time.Millisecond
	// A count of changes comes before the change. Nodes look again for as long as that may take.
	sweepAgain = 8
)

// hurry has a room looked at by the next sweep, or with "" all of them.
func (s *sweep) hurry(room string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.seen, room)
}

func (m *Moderation) sweepLoop() {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-m.life.Done():
			return
		}
		// A look that has begun is not cut off: the hub would have to tell of a room that it could not open.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(m.life), 10*time.Second)
		err := m.sweepRooms(ctx)
		cancel()
		if err != nil && m.life.Err() == nil && !errors.Is(err, im.ErrClosed) {
			m.opts.Logger.Warn("moderate: a look for the banned failed; it is repeated", "error", err)
		}
	}
}

// sweepRooms looks at the sessions of rooms in which sanctions have changed.
func (m *Moderation) sweepRooms(ctx context.Context) error {
	hubMoved, err := m.moved(ctx, "")
	if err != nil {
		return err
	}
	inUse := map[string]bool{"": true}
	for room := range m.hub.Rooms() {
		id := room.ID()
		inUse[id] = true
		if id == m.opts.HubRoom {
			continue
		}
		moved, err := m.moved(ctx, id)
		if err != nil {
			return err
		}
		if moved || hubMoved {
			if err := m.putOut(ctx, room); err != nil {
				return err
			}
		}
	}
	m.sweep.mu.Lock()
	defer m.sweep.mu.Unlock()
	for id := range m.sweep.seen {
		if !inUse[id] {
			delete(m.sweep.seen, id)
			delete(m.sweep.late, id)
		}
	}
	return nil
}

// moved reports whether the sanctions of a room may have changed since it was asked last.
func (m *Moderation) moved(ctx context.Context, room string) (bool, error) {
	_, moves, err := m.state(room).Get(ctx, keyMoves)
	if err != nil {
		return false, err
	}
	s := &m.sweep
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.late == nil {
		s.late = map[string]int{}
	}
	if seen, ok := s.seen[room]; moves > 0 && (!ok || seen != moves) {
		s.seen[room], s.late[room] = moves, sweepAgain
	}
	if s.late[room] == 0 {
		return false, nil
	}
	if s.late[room]--; s.late[room] == 0 {
		delete(s.late, room)
	}
	return true, nil
}

// putOut ends the stay of the banned in a room on this node.
func (m *Moderation) putOut(ctx context.Context, room *im.Room) error {
	for u := range room.Members() {
		for _, s := range m.hub.User(u.ID).Sessions() {
			if !slices.Contains(s.Rooms(), room.ID()) {
				continue
			}
			found, err := m.against(ctx, m.subject(s), room.ID())
			if err != nil {
				return err
			}
			ban := found.of(Ban)
			if ban == nil {
				continue
			}
			if ban.Room == "" {
				s.Close(&im.Error{Code: codeBanned, Reason: banned(ban), RetryAfter: m.left(ban)})
			} else if err := room.Kick(ctx, u.ID, banned(ban)); err != nil {
				return err
			}
		}
	}
	return nil
}

// explain tells the staff of sanctions.
func (m *Moderation) explain(ctx context.Context, u im.User, room string) (sees, sends []im.Hindrance) {
	subs := []subject{{user: u.ID}}
	for _, s := range m.hub.User(u.ID).Sessions() {
		subs = append(subs, m.subject(s))
	}
	var found standings
	for _, sub := range subs {
		f, err := m.against(ctx, sub, room)
		if err != nil {
			m.opts.Logger.Warn("moderate: sanctions cannot be read to explain them", "error", err)
			return nil, nil
		}
		for i := range f {
			if f[i] != nil {
				found[i] = f[i]
			}
		}
	}
	for _, x := range []struct {
		sort Sort
		code string
	}{{Ban, string(codeBanned)}, {Mute, string(codeMuted)}, {Shadow, "shadow"}} {
		s := found.of(x.sort)
		if s == nil {
			continue
		}
		h := im.Hindrance{Code: x.code, Reason: told(s), Until: s.Until}
		if x.sort == Ban {
			sees = append(sees, h)
		}
		sends = append(sends, h)
	}
	return sees, sends
}

// told describes a sanction to the staff.
func told(s *Sanction) string {
	text := fmt.Sprintf("%s of %s", s.Sort, s.Target)
	if s.Room == "" {
		text += " in all rooms"
	}
	if s.By != "" {
		text += ", by " + s.By
	}
	if s.Reason != "" {
		text += ": " + s.Reason
	}
	return text
}
