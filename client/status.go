package client

import (
	"fmt"
	"time"
)

// Phase is what a client's connection does.
type Phase uint8

const (
	PhaseConnecting Phase = iota // an attempt to connect is under way
	PhaseOnline                  // connected, and welcomed by the server
	PhaseWaiting                 // for the time of the next attempt
	PhaseClosed                  // for good
)

var phaseNames = [...]string{"connecting", "online", "waiting", "closed"}

func (p Phase) String() string {
	if int(p) < len(phaseNames) {
		return phaseNames[p]
	}
	return fmt.Sprintf("Phase(%d)", uint8(p))
}

// ConnStatus is how a client's connection is doing, for a light in a user
// interface and for logs. The zero value is a client that connects for the first time.
type ConnStatus struct {
	Phase Phase
	// Until is when a waiting client tries again; zero in other phases.
	Until time.Time
	// Err is why the last connection ended or failed, and in PhaseClosed why
	// there will be no other. Nil while online.
	Err error
}
