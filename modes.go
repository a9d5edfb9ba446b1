package im

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/liveim/im/internal/wire"
)

// Modes are the rules of a room that its host and moderators change while it
// runs: slow mode, emoji only, a delay for moderation and others. They are one value of
// the room's state, so every node applies the same ones and every client sees
// them. The zero Modes restrict nothing.
//
// They apply to what clients send of kinds of the classes Volatile and Normal,
// danmaku and chat among them. They do not apply to Options.Staff, to what the host
// sends with [Room.Send], and to critical kinds. Each node applies Slow, Unique and Delay to what its
// own clients send.
type Modes struct {
	// Slow is the least time between two messages of one user. The next one that
	// comes too early is refused with CodeRateLimited and the time that is left; the clock starts
	// with a message that is taken. Up to 1 h. Zero means no slow mode.
	Slow time.Duration
	// Only are roles of which a sender needs one, such as "follower" and
	// "member": the host says in User.Roles who has them. Up to 20. Empty means everybody.
	Only []string
	// EmojiOnly refuses messages whose text is anything but emoji.
	EmojiOnly bool
	// Unique is how long a text that was taken is not taken again from anybody. Texts
	// that differ in width, case, repeated characters and closing punctuation only count as the same.
	// A node remembers up to 16,384 texts of a room. Up to 10 min. Zero means that texts may repeat.
	Unique time.Duration
	// Delay is how long a message is held before it is shown, so that a moderator
	// can drop it first; see [Room.Held]. Up to 60 s. Zero means no delay; what waits already goes
	// on waiting for its time.
	Delay time.Duration
	// Shield mutes everybody but Allow.
	Shield bool
	// Allow are whom Shield lets through: ids of users, and roles as "role:" and
	// the role. Up to 100.
	Allow []string
	// Stopped stops distribution: messages and likes are refused, and held messages are
	// dropped. Critical events, such as gifts and notices, go on.
	Stopped bool
	// Budget is how many danmaku a second the room is shown. Up to 10,000. Zero means
	// the hub's default.
	Budget int
	// Until is when all of this ends by itself, by Options.Now. Zero means never.
	Until time.Time
}

// Bounds of Modes. They are part of the log's meaning, as those of a fold are.
const (
	maxSlow    = time.Hour
	maxUnique  = 10 * time.Minute
	maxDelay   = time.Minute
	maxOnly    = 20
	maxAllow   = 100
	maxBudget  = 10_000
	maxRole    = 64 // bytes of a role
	rolePrefix = "role:"

	modesKey = reservedPrefix + "modes" // of the room's state
)

// modesBody is Modes on the wire and in the log. Times are milliseconds.
type modesBody struct {
	Slow    int64    `json:"slow_ms,omitempty"`
	Only    []string `json:"only,omitempty"`
	Emoji   bool     `json:"emoji,omitempty"`
	Unique  int64    `json:"unique_ms,omitempty"`
	Delay   int64    `json:"delay_ms,omitempty"`
	Shield  bool     `json:"shield,omitempty"`
	Allow   []string `json:"allow,omitempty"`
	Stopped bool     `json:"stopped,omitempty"`
	Budget  int      `json:"budget,omitempty"`
	Until   int64    `json:"until,omitempty"` // since 1970
}

// MarshalJSON encodes m as docs/protocol.md has it. Durations are rounded up to
// milliseconds.
func (m Modes) MarshalJSON() ([]byte, error) {
	b := modesBody{
		Slow: millis(m.Slow), Only: m.Only, Emoji: m.EmojiOnly, Unique: millis(m.Unique), Delay: millis(m.Delay),
		Shield: m.Shield, Allow: m.Allow, Stopped: m.Stopped, Budget: m.Budget,
	}
	if !m.Until.IsZero() {
		b.Until = m.Until.UnixMilli()
	}
	return json.Marshal(b)
}

// UnmarshalJSON is the opposite of MarshalJSON. It ignores fields that it does
// not know, and refuses modes that are out of their bounds.
func (m *Modes) UnmarshalJSON(data []byte) error {
	var b modesBody
	if err := json.Unmarshal(data, &b); err != nil {
		return err
	}
	return m.read(&b)
}

// read takes modes from the wire.
func (m *Modes) read(b *modesBody) error {
	for _, n := range []struct {
		name string
		ms   int64
		max  time.Duration
	}{{"slow_ms", b.Slow, maxSlow}, {"unique_ms", b.Unique, maxUnique}, {"delay_ms", b.Delay, maxDelay}} {
		if n.ms < 0 || n.ms > n.max.Milliseconds() {
			return errorf(CodeBadRequest, "%s is %d: want 0 to %d", n.name, n.ms, n.max.Milliseconds())
		}
	}
	if b.Until < 0 || b.Until > MaxSeq {
		return errorf(CodeBadRequest, "until is %d: want milliseconds since 1970, or 0 for never", b.Until)
	}
	*m = Modes{
		Slow: duration(b.Slow), Only: b.Only, EmojiOnly: b.Emoji, Unique: duration(b.Unique), Delay: duration(b.Delay),
		Shield: b.Shield, Allow: b.Allow, Stopped: b.Stopped, Budget: b.Budget,
	}
	if b.Until > 0 {
		m.Until = time.UnixMilli(b.Until)
	}
	return m.check()
}

func duration(ms int64) time.Duration { return time.Duration(ms) * time.Millisecond }

// millis rounds up, so that nothing that is set becomes nothing.
func millis(d time.Duration) int64 { return int64((d + time.Millisecond - 1) / time.Millisecond) }

// check reports which mode is out of its bounds.
func (m *Modes) check() error {
	badRole := func(role string) bool { return !validID(role, maxRole) }
	badAllow := func(who string) bool { return !validID(who, maxID) || who == rolePrefix }
	switch {
	case m.Slow < 0 || m.Slow > maxSlow:
		return errorf(CodeBadRequest, "slow mode is %v: want 0 to %v", m.Slow, maxSlow)
	case m.Unique < 0 || m.Unique > maxUnique:
		return errorf(CodeBadRequest, "the time for unique texts is %v: want 0 to %v", m.Unique, maxUnique)
	case m.Delay < 0 || m.Delay > maxDelay:
		return errorf(CodeBadRequest, "the moderation delay is %v: want 0 to %v", m.Delay, maxDelay)
	case len(m.Only) > maxOnly || slices.ContainsFunc(m.Only, badRole):
		return errorf(CodeBadRequest, "only: want at most %d roles of 1 to %d bytes", maxOnly, maxRole)
	case len(m.Allow) > maxAllow || slices.ContainsFunc(m.Allow, badAllow):
		return errorf(CodeBadRequest, "allow: want at most %d ids of users, or role:name, of 1 to %d bytes", maxAllow, maxID)
	case m.Budget < 0 || m.Budget > maxBudget:
		return errorf(CodeBadRequest, "the budget is %d danmaku a second: want 0 to %d", m.Budget, maxBudget)
	}
	return nil
}

// restricts reports whether there is anything to keep: Until alone is nothing.
func (m *Modes) restricts() bool {
	return m.Slow > 0 || len(m.Only) > 0 || m.EmojiOnly || m.Unique > 0 || m.Delay > 0 || m.Shield || len(m.Allow) > 0 || m.Stopped || m.Budget > 0
}

// over reports whether the modes have ended by themselves.
func (m *Modes) over(now time.Time) bool { return !m.Until.IsZero() && !now.Before(m.Until) }

// untilMillis is Until in milliseconds since 1970, 0 for never.
func (m *Modes) untilMillis() int64 {
	if m.Until.IsZero() {
		return 0
	}
	return m.Until.UnixMilli()
}

// allows reports whether the shield lets a user through.
func (m *Modes) allows(u *User) bool {
	return slices.ContainsFunc(m.Allow, func(who string) bool {
		if role, ok := strings.CutPrefix(who, rolePrefix); ok {
			return u.HasRole(role)
		}
		return who == u.ID
	})
}

// parseModes reads a value of the state. Every node must come to the same result.
func parseModes(value json.RawMessage) (*Modes, error) {
	m := new(Modes)
	if err := json.Unmarshal(value, m); err != nil {
		return nil, err
	}
	return m, nil
}

// Modes returns the modes that are in force in the room, and the version of what was set
// last, for [IfVersion].
func (r *Room) Modes(ctx context.Context) (m Modes, version uint64, err error) {
	c, err := r.hub.core(ctx, r.id)
	if err != nil {
		return Modes{}, 0, err
	}
	defer c.release()
	version = c.cell(modesKey).Version
	if now := c.inForce(); now != nil {
		m = *now
		m.Only, m.Allow = slices.Clone(m.Only), slices.Clone(m.Allow)
	}
	return m, version, nil
}

// SetModes replaces the room's modes and returns the version that they have then. The zero Modes
// lift all restrictions; their version is 0. It is otherwise as [Room.Set].
func (r *Room) SetModes(ctx context.Context, m Modes, opts ...SetOption) (version uint64, err error) {
	if err := m.check(); err != nil {
		return 0, err
	}
	change, err := m.change(r.hub.opts.Now())
	if err != nil {
		return 0, err
	}
	o, err := r.change(ctx, change, opts)
	return o.Version, err
}

// change is the change of the state that sets the modes.
func (m *Modes) change(now time.Time) (stateChange, error) {
	switch {
	case !m.restricts():
		return stateChange{Key: modesKey, Delete: true}, nil
	case m.over(now):
		return stateChange{}, errorf(CodeBadRequest, "until is in the past: these modes would be over at once")
	}
	value, err := json.Marshal(m)
	if err != nil {
		return stateChange{}, fmt.Errorf("im: the modes do not encode to JSON: %w", err)
	}
	return stateChange{Key: modesKey, Value: value}, nil
}

// setModes answers "modes.set".
func (s *Session) setModes(ctx context.Context, req *wire.Request) error {
	if err := s.mayAct(ctx, req.Room); err != nil {
		return err
	}
	u := s.User()
	if !s.hub.kinds[State].From.Allow(&u) {
		return errNotYours()
	}
	if err := s.takeChange(req, &u); err != nil {
		return err
	}
	change, err := parseModesRequest(req.Body, s.hub.opts.Now())
	if err != nil {
		return err
	}
	body, err := s.hub.encodeBody(change)
	if err != nil {
		return err
	}
	return s.change(ctx, req, body, func(body json.RawMessage) (r setRequest, err error) {
		c := &r.change // as the interceptors left it
		if err := json.Unmarshal(body, c); err != nil || c.Key != modesKey || !c.check() {
			return r, &Error{Code: CodeInternal, Reason: "an interceptor made something else of the modes", cause: err}
		}
		if c.Delete {
			return r, nil
		}
		_, err = parseModes(c.Value)
		return r, err
	})
}

// parseModesRequest reads the body of "modes.set". A misspelt mode must not be
// taken for none, so fields that it does not know are refused.
func parseModesRequest(body json.RawMessage, now time.Time) (stateChange, error) {
	var b struct {
		modesBody
		If *uint64 `json:"if"`
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&b); err != nil || body[0] != '{' {
		return stateChange{}, errorf(CodeBadRequest, `the body of modes.set is an object of modes, {} for none: %s`, describeJSON(err))
	}
	var m Modes
	if err := m.read(&b.modesBody); err != nil {
		return stateChange{}, err
	}
	change, err := m.change(now)
	change.If = b.If
	return change, err
}

// describeJSON says what is wrong with a client's JSON in a few words.
func describeJSON(err error) string {
	if err == nil {
		return "it is something else"
	}
	return strings.TrimPrefix(err.Error(), "json: ")
}
