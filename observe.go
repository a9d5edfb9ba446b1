package im

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
)

func (t SignalType) String() string {
	names := [...]string{"none", "session opened", "session closed", "joined", "left", "accepted", "refused", "reset"}
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
	Op      string // of SignalRefused
	Kind    Kind   // of accepted and refused sends
	Event   *Event // of SignalAccepted
	Err     error
}

// observe calls the host's observer. A panic of it is logged and goes no further.
func (h *Hub) observe(s Signal) {
	if h.opts.Observe == nil {
		return
	}
	defer func() {
		if p := recover(); p != nil {
			h.opts.Logger.Error("a hook of the host panicked", "hook", "Options.Observe", "panic", p)
		}
	}()
	h.opts.Observe(s)
}
