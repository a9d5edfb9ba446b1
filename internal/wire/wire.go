// Package wire is version 1 of the protocol as Go types: what clients and hubs
// say to each other, as docs/protocol.md describes it. It parses and writes
// JSON; it knows nothing of rooms, rights or connections.
package wire

import "encoding/json"

// Version is the protocol version, Subprotocol its name in WebSocket handshakes.
const (
	Version     = 1
	Subprotocol = "im.v1"
)

// The operations of the protocol. Hosts register further ones.
const (
	OpHello    = "hello"
	OpJoin     = "join"
	OpLeave    = "leave"
	OpSend     = "send"
	OpHistory  = "history"
	OpStateSet = "state.set"
	OpStateAdd = "state.add"
	OpModesSet = "modes.set"
	OpHeldPass = "held.pass"
	OpHeldDrop = "held.drop"
	OpExplain  = "explain"
	OpRefresh  = "refresh"
	OpPing     = "ping"
	OpTier     = "tier" // also what a server says

	OpWelcome = "welcome"
	OpJoined  = "joined"
	OpLeft    = "left"
	OpAck     = "ack"
	OpError   = "error"
	OpEvents  = "events"
	OpGap     = "gap"
	OpReset   = "reset"
	OpFate    = "fate"
	OpHeld    = "held"
	OpOnline  = "online"
	OpDirect  = "direct"
	OpPong    = "pong"
	OpBye     = "bye"
)

// Position is a place in a room's log.
type Position struct {
	Epoch string `json:"epoch"`
	Seq   uint64 `json:"seq"`
}

// Request is what a client asks. Which fields count depends on Op.
type Request struct {
	Op     string          `json:"op"`
	ID     uint64          `json:"id,omitempty"`
	Room   string          `json:"room,omitempty"`
	Kind   string          `json:"kind,omitempty"`
	CID    string          `json:"cid,omitempty"`
	Body   json.RawMessage `json:"body,omitempty"`
	Token  string          `json:"token,omitempty"`
	Tier   string          `json:"tier,omitempty"`
	Since  *Position       `json:"since,omitempty"`
	After  *Position       `json:"after,omitempty"`
	Before *Position       `json:"before,omitempty"`
	Max    int             `json:"max,omitempty"`
	Newest bool            `json:"newest,omitempty"`
	From   int64           `json:"from,omitempty"` // of "history": milliseconds since 1970
	To     int64           `json:"to,omitempty"`
	Kinds  []string        `json:"kinds,omitempty"`
}

// Message is what a server says: the union of all its messages, for clients to
// decode into and for servers to encode what is not hot.
type Message struct {
	Op        string                     `json:"op"`
	ID        uint64                     `json:"id,omitempty"`
	Room      string                     `json:"room,omitempty"`
	SID       string                     `json:"sid,omitempty"`
	User      *User                      `json:"user,omitempty"`
	Heartbeat int64                      `json:"heartbeat_ms,omitempty"`
	Protocol  int                        `json:"protocol,omitempty"`
	Expires   int64                      `json:"expires_ms,omitempty"`
	Joining   []string                   `json:"joining,omitempty"`
	Epoch     string                     `json:"epoch,omitempty"`
	Seq       uint64                     `json:"seq,omitempty"`
	Prev      uint64                     `json:"prev,omitempty"`
	To        uint64                     `json:"to,omitempty"`
	Recovered bool                       `json:"recovered,omitempty"`
	Missed    int                        `json:"missed,omitempty"`
	State     map[string]Cell            `json:"state,omitempty"`
	Online    int                        `json:"online,omitempty"`
	Count     int                        `json:"count,omitempty"`
	Joined    *Arrivals                  `json:"joined,omitempty"`
	Told      map[string]json.RawMessage `json:"told,omitempty"`
	Events    []Event                    `json:"events,omitempty"`
	Held      *Event                     `json:"held,omitempty"`
	Until     int64                      `json:"until_ms,omitempty"`
	More      bool                       `json:"more,omitempty"`
	Next      uint64                     `json:"next,omitempty"`
	Status    string                     `json:"status,omitempty"`
	Event     string                     `json:"event,omitempty"`
	CID       string                     `json:"cid,omitempty"`
	Kind      string                     `json:"kind,omitempty"`
	At        int64                      `json:"at,omitempty"`
	Body      json.RawMessage            `json:"body,omitempty"`
	Tier      string                     `json:"tier,omitempty"`
	By        string                     `json:"by,omitempty"`
	Code      string                     `json:"code,omitempty"`
	Reason    string                     `json:"reason,omitempty"`
	Retry     int64                      `json:"retry_ms,omitempty"`
}

// User is the user as "welcome" names it.
type User struct {
	ID    string   `json:"id"`
	Name  string   `json:"name,omitempty"`
	Roles []string `json:"roles,omitempty"`
}

// Author is the sender of an event.
type Author struct {
	ID   string `json:"id"`
	Name string `json:"name,omitempty"`
}

// Event is one event as clients see it.
type Event struct {
	Seq  uint64          `json:"seq,omitempty"`
	ID   string          `json:"id"`
	Kind string          `json:"kind"`
	At   int64           `json:"at"`
	From *Author         `json:"from,omitempty"`
	Body json.RawMessage `json:"body,omitempty"`
	// N is how many equal messages the event stands for, if it is more than one.
	N int `json:"n,omitempty"`
	// Merged marks an event of a merged kind: its body says what the total is now.
	Merged bool `json:"merged,omitempty"`
}

// Arrivals are the users who came into a room: all of them, and the names of a few.
type Arrivals struct {
	Names []string `json:"names"`
	N     int      `json:"n"`
}

// Cell is the value of one key of a room's state. Version is the seq of the
// event that set it. Until is when the key expires, in milliseconds since 1970, Owner the user whose
// leaving removes it; most keys have neither.
type Cell struct {
	Value   json.RawMessage `json:"value"`
	Version uint64          `json:"version"`
	Until   int64           `json:"until,omitempty"`
	Owner   string          `json:"owner,omitempty"`
}

// Statuses of an "ack" or a "fate".
const (
	StatusOK      = "ok"
	StatusMerged  = "merged"
	StatusShed    = "shed"
	StatusHeld    = "held"
	StatusUnknown = "unknown"
	StatusRefused = "refused" // in a fate only
)
