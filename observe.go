package im

import "context"

// SignalType is what a [Signal] tells of.
type SignalType uint8

const (
	SignalSessionOpened SignalType = iota + 1 // a client has said who it is
	SignalSessionClosed                       // its connection is gone; Err says why
	SignalJoined                              // it entered a room
	SignalLeft                                // it left a room; Err says why, nil if it asked to
	SignalAccepted                            // an event that it sent was stored
	SignalRefused                             // a request of it was refused; Err says why
	SignalReset                               // it was too slow, and entered the room again
	SignalTally                               // a room was over its budget: Event is what it was told, a [Tally]
	SignalBrownout                            // the hub leaves out more, or less, than before; Level says how much
	SignalRefreshed                           // a client has a new token: its name and roles may be others
	SignalTotal                               // the total of a merged kind has grown: Event, which this node has appended, says by how much
)

func (t SignalType) String() string {
	names := [...]string{"none", "session opened", "session closed", "joined", "left", "accepted", "refused", "reset", "tally", "brownout", "refreshed", "total"}
	if int(t) < len(names) {
		return names[t]
	}
	return "unknown"
}

// Signal is what Options.Observe is told. Which fields are set depends on the type.
type Signal struct {
	Type    SignalType
	Session *Session
	Room    string
	Op      string        // of SignalRefused
	Kind    Kind          // of accepted and refused sends, and of SignalTotal
	Event   *Event        // of SignalAccepted, SignalTally and SignalTotal
	Level   BrownoutLevel // of SignalBrownout
	Err     error
}

// observe calls the observers. Whatever they do, it ends there.
func (h *Hub) observe(s Signal) {
	if observers := h.plugs.observers.Load(); observers != nil {
		h.tell(s, *observers)
	}
}

// tell is a function of its own, so that a Signal nobody wants is not allocated.
func (h *Hub) tell(s Signal, observers []func(Signal)) {
	// The context is not the hub's: the end of sessions is observed as well.
	for _, observe := range observers {
		_ = h.guard.run(context.Background(), h.opts.Timeouts.Hook, "Options.Observe", func(context.Context) error {
			observe(s)
			return nil
		})
	}
}
