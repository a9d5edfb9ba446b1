package im

import (
	"fmt"
	"net/http"
	"time"
)

// Check looks at the server that the hub is mounted on, and at the hub's own
// options, and returns a sentence for each thing that a live site should change.
// It changes nothing. Call it at start and log what it says.
//
//	for _, advice := range hub.Check(srv) {
//		slog.Warn(advice)
//	}
func (h *Hub) Check(s *http.Server) []string {
	var advice []string
	say := func(format string, args ...any) { advice = append(advice, fmt.Sprintf(format, args...)) }
	switch t := s.ReadHeaderTimeout; {
	case t == 0 && s.ReadTimeout == 0:
		say("http.Server.ReadHeaderTimeout is not set: clients that never finish their request hold connections for ever; 5s is a good value")
	case t > 30*time.Second:
		say("http.Server.ReadHeaderTimeout is %v: clients that never finish their request hold connections that long; 5s is a good value", t)
	}
	if s.IdleTimeout == 0 && s.ReadTimeout == 0 {
		say("http.Server.IdleTimeout is not set: kept-alive connections of clients that are gone stay open; 1m is a good value")
	}
	if s.MaxHeaderBytes == 0 || s.MaxHeaderBytes > 64<<10 {
		say("http.Server.MaxHeaderBytes allows 64 KiB or more of headers before anybody is known; 16 KiB is enough for most sites")
	}
	if w := s.WriteTimeout; w != 0 && w < defaultWait {
		say("http.Server.WriteTimeout is %v: it does not cut WebSockets and streams, but a long-poll waits up to %v, so allow more than that on routes that are not the hub's", w, defaultWait)
	}
	if s.Handler == nil {
		say("http.Server.Handler is nil, so the server serves http.DefaultServeMux, to which any package may add paths")
	}
	if _, memory := h.opts.Log.(*MemoryLog); memory {
		say("Options.Log is a memory log: a restart forgets history and state, and two processes split their rooms in silence")
	}
	return advice
}
