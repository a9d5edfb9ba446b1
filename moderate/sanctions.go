package moderate

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/liveim/im"
)

// Sort is a sort of sanction.
type Sort string

const (
	Mute   Sort = "mute"   // sees everything, sends nothing
	Ban    Sort = "ban"    // is put out, and kept out
	Shadow Sort = "shadow" // is told that messages were taken; nobody is shown them
)

var sorts = []Sort{Mute, Ban, Shadow}

// Target is whom a sanction is about: exactly one of the fields is set.
type Target struct {
	User   string       `json:"user,omitempty"`
	Prefix netip.Prefix `json:"prefix,omitzero"` // addresses of clients
	Device string       `json:"device,omitempty"`
}

// String names the target for people.
func (t Target) String() string {
	switch {
	case t.User != "":
		return "user " + t.User
	case t.Prefix.IsValid():
		return "address " + t.Prefix.String()
	}
	return "device " + t.Device
}

func (t Target) check() error {
	set := 0
	for _, is := range []bool{t.User != "", t.Prefix.IsValid(), t.Device != ""} {
		if is {
			set++
		}
	}
	switch {
	case set != 1:
		return badRequest("a sanction is about a user, an address prefix or a device: exactly one of them")
	case len(t.User) > 128 || len(t.Device) > 256:
		return badRequest("the id of a user has at most 128 bytes, that of a device 256")
	}
	return nil
}

// Sanction is a mute, ban or shadow mute that is in force.
type Sanction struct {
	Sort   Sort      `json:"sort"`
	Target Target    `json:"target"`
	Room   string    `json:"room,omitempty"` // empty: all rooms of the hub
	By     string    `json:"by,omitempty"`   // the id of who imposed it; empty: the host
	Reason string    `json:"reason,omitempty"`
	At     time.Time `json:"at"`
	Until  time.Time `json:"until,omitzero"` // zero: for good
}

// over reports whether it has ended by itself.
func (s *Sanction) over(now time.Time) bool { return !s.Until.IsZero() && !now.Before(s.Until) }

// record is what one key of the state says of a target: at most one sanction of each sort.
type record struct {
	Target    Target             `json:"target"`
	Sanctions map[Sort]*standing `json:"sanctions"`
}

type standing struct {
	By     string `json:"by,omitempty"`
	Reason string `json:"reason,omitempty"`
	At     int64  `json:"at"`              // ms since 1970
	Until  int64  `json:"until,omitempty"` // ms since 1970; 0: for good
}

func (r *record) sanction(sort Sort, room string) *Sanction {
	s := r.Sanctions[sort]
	if s == nil {
		return nil
	}
	out := &Sanction{Sort: sort, Target: r.Target, Room: room, By: s.By, Reason: s.Reason, At: time.UnixMilli(s.At)}
	if s.Until > 0 {
		out.Until = time.UnixMilli(s.Until)
	}
	return out
}

// Keys of the state. They are private. A target is named by its hash, as ids may be longer than keys.
const (
	keyPrefix  = "~mod."
	keyRecord  = keyPrefix + "t." // and the target's hash: a record
	keyLengths = keyPrefix + "bits"
	// keyMoves counts the changes. Without it the room never had any, so that nothing else need be looked up.
	keyMoves = keyPrefix + "moves"
)

func (t Target) key() string {
	sort, id := "u", t.User
	switch {
	case t.Prefix.IsValid():
		sort, id = "a", t.Prefix.Masked().String()
	case t.Device != "":
		sort, id = "d", t.Device
	}
	sum := sha256.Sum256([]byte(sort + id))
	return keyRecord + sort + base64.RawURLEncoding.EncodeToString(sum[:18])
}

// maxPeriod bounds how long a sanction with an end lasts.
const maxPeriod = 3660 * 24 * time.Hour

// Impose imposes a sanction: for d, or for good if d is 0, in a room, or in all of them if room is "". One of the same sort
// that is there already is replaced. by is who does it, for the record; their rights are not checked here, as they are for
// clients. It is in force on every node within a second of its return.
func (m *Moderation) Impose(ctx context.Context, room string, sort Sort, t Target, d time.Duration, by, reason string) (Sanction, error) {
	switch err := t.check(); {
	case err != nil:
		return Sanction{}, err
	case !slices.Contains(sorts, sort):
		return Sanction{}, badRequest("a sanction is mute, ban or shadow, not %q", sort)
	case d < 0 || d > maxPeriod:
		return Sanction{}, badRequest("a sanction lasts up to %d days, or for good", int(maxPeriod/(24*time.Hour)))
	case len(reason) > 500:
		return Sanction{}, badRequest("a reason has at most 500 bytes")
	}
	t.Prefix = t.Prefix.Masked()
	now := m.opts.Now()
	s := &standing{By: by, Reason: reason, At: now.UnixMilli()}
	if d > 0 {
		s.Until = now.Add(d).UnixMilli()
	}
	if err := m.move(ctx, room); err != nil {
		return Sanction{}, err
	}
	if t.Prefix.IsValid() {
		if err := m.addLength(ctx, room, t.Prefix); err != nil {
			return Sanction{}, err
		}
	}
	if err := m.change(ctx, room, t, func(r *record) bool {
		r.Sanctions[sort] = s
		return true
	}); err != nil {
		return Sanction{}, err
	}
	imposed := (&record{t, map[Sort]*standing{sort: s}}).sanction(sort, room)
	m.decide(ctx, room, Decision{Action: string(sort), By: by, User: t.User, Target: t.String(), Reason: reason, Until: imposed.Until})
	if sort != Shadow && t.User != "" {
		m.dropWaiting(ctx, room, t.User, by)
	}
	if sort == Ban && t.User != "" && room != "" {
		if err := m.hub.Room(room).Kick(ctx, t.User, banned(imposed)); err != nil {
			return *imposed, err
		}
	}
	m.sweep.hurry(room)
	return *imposed, nil
}

// Lift ends a sanction. One that is not there is no error.
func (m *Moderation) Lift(ctx context.Context, room string, sort Sort, t Target, by, reason string) error {
	if err := t.check(); err != nil {
		return err
	}
	t.Prefix = t.Prefix.Masked()
	was := false
	if err := m.change(ctx, room, t, func(r *record) bool {
		was = r.Sanctions[sort] != nil
		delete(r.Sanctions, sort)
		return was
	}); err != nil {
		return err
	}
	if was {
		m.decide(ctx, room, Decision{Action: "lift " + string(sort), By: by, User: t.User, Target: t.String(), Reason: reason})
	}
	return nil
}

// Sanctions returns those that are in force in a room, or with "" in all of them, the newest first. Those of the whole hub
// are not among those of a room.
func (m *Moderation) Sanctions(ctx context.Context, room string) ([]Sanction, error) {
	all, err := m.state(room).All(ctx)
	if err != nil {
		return nil, err
	}
	list := []Sanction{}
	now := m.opts.Now()
	for key, value := range all {
		if !strings.HasPrefix(key, keyRecord) {
			continue
		}
		r, err := readRecord(value)
		if err != nil {
			return nil, err
		}
		for _, sort := range sorts {
			if s := r.sanction(sort, room); s != nil && !s.over(now) {
				list = append(list, *s)
			}
		}
	}
	slices.SortFunc(list, func(a, b Sanction) int { return b.At.Compare(a.At) })
	return list, nil
}

// state is that of the room which keeps what concerns a room, or with "" all of them.
func (m *Moderation) state(room string) im.RoomState { return m.keeper(room).State() }

func (m *Moderation) keeper(room string) *im.Room {
	if room == "" {
		room = m.opts.HubRoom
	}
	return m.hub.Room(room)
}

// move counts a change, so that every node looks at it. It comes before the change: who sees the count looks
// again for a while.
func (m *Moderation) move(ctx context.Context, room string) error {
	_, _, err := m.keeper(room).Increment(ctx, keyMoves, 1)
	return err
}

// tries bounds how often a change is made again that others have come before.
const tries = 16

// change changes the record of a target. change reports whether there is something to store; it may run more than once.
func (m *Moderation) change(ctx context.Context, room string, t Target, change func(*record) bool) error {
	key, keeper := t.key(), m.keeper(room)
	for range tries {
		value, version, err := keeper.State().Get(ctx, key)
		if err != nil {
			return err
		}
		r := &record{Target: t, Sanctions: map[Sort]*standing{}}
		if version != 0 {
			if r, err = readRecord(value); err != nil {
				return err
			}
		}
		now, last := m.opts.Now(), int64(0)
		if !change(r) {
			return nil
		}
		for sort, s := range r.Sanctions {
			switch {
			case s.Until == 0:
				last = -1
			case s.Until <= now.UnixMilli():
				delete(r.Sanctions, sort)
			case last >= 0:
				last = max(last, s.Until)
			}
		}
		if len(r.Sanctions) == 0 {
			err = keeper.Delete(ctx, key, im.IfVersion(version))
		} else {
			opts := []im.SetOption{im.IfVersion(version)}
			if last > 0 {
				opts = append(opts, im.WithTTL(time.UnixMilli(last).Sub(now)))
			}
			_, err = keeper.Set(ctx, key, r, opts...)
		}
		if !errors.Is(err, im.ErrConflict) {
			return err
		}
		if _, again, err2 := keeper.State().Get(ctx, key); err2 != nil || again == version {
			return err // it is not that others came first: the room's state is full
		}
	}
	return &im.Error{Code: im.CodeConflict, Reason: "too many change this sanction at once; try again"}
}

func readRecord(value json.RawMessage) (*record, error) {
	r := &record{}
	if err := json.Unmarshal(value, r); err != nil {
		return nil, fmt.Errorf("moderate: a sanction in the state does not decode: %w", err)
	}
	if r.Sanctions == nil {
		r.Sanctions = map[Sort]*standing{}
	}
	return r, nil
}

// bits are the lengths of the prefixes that have sanctions: an address is looked up under each.
type bits struct {
	V4 []int `json:"4,omitempty"`
	V6 []int `json:"6,omitempty"`
}

func (b *bits) of(a netip.Addr) *[]int {
	if a.Is4() {
		return &b.V4
	}
	return &b.V6
}

func (m *Moderation) addLength(ctx context.Context, room string, p netip.Prefix) error {
	keeper := m.keeper(room)
	for range tries {
		value, version, err := keeper.State().Get(ctx, keyLengths)
		if err != nil {
			return err
		}
		var b bits
		if version != 0 {
			if err := json.Unmarshal(value, &b); err != nil {
				return fmt.Errorf("moderate: the lengths of prefixes in the state do not decode: %w", err)
			}
		}
		lengths := b.of(p.Addr())
		if slices.Contains(*lengths, p.Bits()) {
			return nil
		}
		*lengths = append(*lengths, p.Bits())
		if _, err = keeper.Set(ctx, keyLengths, b, im.IfVersion(version)); !errors.Is(err, im.ErrConflict) {
			return err
		}
	}
	return &im.Error{Code: im.CodeConflict, Reason: "too many change sanctions at once; try again"}
}

func badRequest(format string, args ...any) *im.Error {
	return &im.Error{Code: im.CodeBadRequest, Reason: fmt.Sprintf(format, args...)}
}
