// Package imtest helps host applications to test what they build on im: hooks,
// operations, rights, what viewers see. Everything runs in memory, and within a
// bubble of testing/synctest time is virtual and runs are deterministic.
//
//	func TestWelcome(t *testing.T) {
//		synctest.Test(t, func(t *testing.T) {
//			hub := imtest.NewHub(t, &im.Options{Admit: admit})
//			ann := hub.Join("42", im.User{ID: "ann"})
//			ann.Send(im.Chat, "hello")
//			if ev := ann.Event(); ev.Kind != im.Chat { … }
//		})
//	}
//
// The package's own failures are fatal to the test that they happen in: its
// methods must be called from the test's goroutine.
package imtest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/internal/wire"
	"github.com/liveim/im/transport/pipe"
)

// Hub is an im.Hub in memory whose viewers belong to a test.
type Hub struct {
	*im.Hub
	t TB
}

// TB is what the package needs of a test: *testing.T, *testing.B and *rapid.T have it.
type TB interface {
	Helper()
	Errorf(format string, args ...any)
	Fatal(args ...any)
	Fatalf(format string, args ...any)
	Cleanup(func())
	Context() context.Context
}

// NewHub returns a hub that is closed when the test ends. opts may be nil. Its
// Authenticator takes the token as the user's id, so that viewers over HTTP can say
// "Authorization: Bearer ann"; viewers of [Hub.Join] need none. It leaves nothing out
// however busy the machine is, unless opts has a Pressure.
func NewHub(t TB, opts *im.Options) *Hub {
	t.Helper()
	var o im.Options
	if opts != nil {
		o = *opts
	}
	if o.Pressure == nil {
		o.Pressure = func() float64 { return 0 }
	}
	hub, err := im.New(BearerUser, &o)
	if err != nil {
		t.Fatalf("imtest: %v", err)
	}
	t.Cleanup(func() { _ = hub.Close() })
	return &Hub{hub, t}
}

// BearerUser is an Authenticator for tests: the token is the user's id.
func BearerUser(r *http.Request) (im.User, error) {
	const prefix = "Bearer "
	a := r.Header.Get("Authorization")
	if len(a) <= len(prefix) || a[:len(prefix)] != prefix {
		return im.User{}, im.ErrNoCredentials
	}
	return im.User{ID: a[len(prefix):]}, nil
}

// Connect returns a viewer who is connected and in no room.
func (h *Hub) Connect(u im.User) *Viewer {
	h.t.Helper()
	return h.ConnectSlow(u, 0)
}

// ConnectSlow is Connect for a viewer whose connection holds only so many bytes
// that it has not read, so that a test can see what slow viewers get. 0 means
// 64 KiB.
func (h *Hub) ConnectSlow(u im.User, buffer int) *Viewer {
	h.t.Helper()
	conn, peer := pipe.New(&pipe.Options{Buffer: buffer})
	s, err := h.Attach(conn, u)
	if err != nil {
		h.t.Fatalf("imtest: connect %s: %v", u.ID, err)
	}
	v := &Viewer{Session: s, t: h.t, peer: peer, positions: map[string]im.Position{}}
	h.t.Cleanup(v.Close)
	if _, err := v.answer(wire.OpWelcome, 0); err != nil {
		h.t.Fatalf("imtest: connect %s: %v", u.ID, err)
	}
	return v
}

// Join returns a viewer who is connected and in the room.
func (h *Hub) Join(room string, u im.User) *Viewer {
	h.t.Helper()
	v := h.Connect(u)
	v.Join(room, nil)
	return v
}

// Crowd returns n viewers in the room, whose users are "viewer-1" and so on.
func (h *Hub) Crowd(room string, n int) []*Viewer {
	h.t.Helper()
	crowd := make([]*Viewer, n)
	for i := range crowd {
		crowd[i] = h.Join(room, im.User{ID: fmt.Sprintf("viewer-%d", i+1)})
	}
	return crowd
}

// patience is how long a viewer waits for what a test says must come. It is
// virtual in a synctest bubble.
const patience = 10 * time.Second

// Update is what a viewer is told: an event of a room, or something about one.
type Update struct {
	// Op is the protocol's name: "event", "gap", "reset", "left", "fate", "held", "online", "tier", "direct" or "bye".
	Op   string
	Room string
	// Event is set for "event" and "direct", and for "held" (its ID alone where Status says that
	// it is held no more).
	Event *im.Event
	// Wait is for how long a "held" message waits.
	Wait time.Duration
	// Missed is how many volatile events a "gap" or "reset" left out.
	Missed int
	// Entry is set for "reset".
	Entry *Entry
	// Count is the count of "online"; Joined says who came in, nil if nobody did.
	Count  int
	Joined *Joins
	// Status, CID and Code tell of "fate", "held", "left" and "bye".
	Status im.Status
	CID    string
	Code   im.Code
	Reason string
	// Tier is what the viewer gets from here on, of "tier". ByServer: it is less than it
	// has chosen, because it lags.
	Tier     string
	ByServer bool
}

// Joins are users who came into a room: the names of the first, and how many they are.
type Joins struct {
	Names []string
	N     int
}

// Entry is what a viewer finds in a room that it enters.
type Entry struct {
	Pos       im.Position
	Recovered bool
	Missed    int
	Online    int
	State     map[string]json.RawMessage
	Events    []*im.Event
}

func entryOf(m *wire.Message) *Entry {
	e := &Entry{
		Pos: im.Position{Epoch: m.Epoch, Seq: m.Seq}, Recovered: m.Recovered, Missed: m.Missed,
		Online: m.Online, State: map[string]json.RawMessage{},
	}
	for k, c := range m.State {
		e.State[k] = c.Value
	}
	for i := range m.Events {
		e.Events = append(e.Events, eventOf(m.Epoch, &m.Events[i]))
	}
	return e
}

func eventOf(epoch string, w *wire.Event) *im.Event {
	e := &im.Event{Pos: im.Position{Epoch: epoch, Seq: w.Seq}, ID: w.ID, Kind: im.Kind(w.Kind), At: time.UnixMilli(w.At), Body: w.Body, N: w.N}
	if w.From != nil {
		e.From = im.Author{ID: w.From.ID, Name: w.From.Name}
	}
	return e
}

// contextFor bounds a wait by patience.
func contextFor(t TB) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), patience)
}
