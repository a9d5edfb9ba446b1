package gift

import "time"

// Body is the body of an event of the kind im.Gift. Type says which fields there are. Clients read the same from
// docs/protocol.md; programs of the host use im.Decode[gift.Body].
type Body struct {
	// Type is what was bought. Ignore events of a Type that you do not know.
	Type Sort `json:"type"`
	// Order is the id of the order, and of the event.
	Order    string `json:"order"`
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`

	// Of gifts.
	Gift   string `json:"gift,omitempty"`
	Name   string `json:"name,omitempty"`
	Count  int64  `json:"count,omitempty"`
	Effect string `json:"effect,omitempty"`
	Combo  *Combo `json:"combo,omitempty"`

	// Of paid messages. They are pinned until Until, if that is set.
	Text  string `json:"text,omitempty"`
	Color string `json:"color,omitempty"`

	// Of red packets, which can be claimed until Until.
	Shares int64 `json:"shares,omitempty"`
	Split  Split `json:"split,omitempty"`

	Until int64 `json:"until,omitempty"` // milliseconds since 1970

	// From is the giver, in the state of the room alone: an event has its own.
	From *Giver `json:"from,omitempty"`
}

// Combo is a gift that grows: equal gifts of one giver, each within the window after the one before.
type Combo struct {
	// ID is the same for all gifts of the combo.
	ID string `json:"id"`
	// Count is how many it has with this event: show the highest that has come.
	Count int64 `json:"count"`
	// WindowMS is for how long after this event the next one continues it.
	WindowMS int64 `json:"window_ms"`
}

// Giver is one line of a TopList, and whom a pinned message is from.
type Giver struct {
	ID   string `json:"id"`
	Name string `json:"name,omitempty"`
	// Amount is the sum that the user has given in the time of the list, without what was refunded.
	Amount int64 `json:"amount,omitempty"`
}

// TopList is the value of the state keys "gift.top.stream", "gift.top.day" and "gift.top.all".
type TopList struct {
	// Period is the stream or the day (2026-11-24) that it is about; empty for all time.
	Period   string `json:"period,omitempty"`
	Currency string `json:"currency"`
	// Top has those who gave most first; of equal sums the one whose id is less.
	Top []Giver `json:"top"`
	// Rev rises with each change.
	Rev uint64 `json:"rev,omitempty"`
}

// answer is what a client is told of an order.
type answer struct {
	Type     string `json:"type,omitempty"` // "order", in direct messages
	Order    string `json:"order"`
	State    State  `json:"state"`
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
	Room     string `json:"room,omitempty"`
	Combo    *Combo `json:"combo,omitempty"`
	Expires  int64  `json:"expires,omitempty"` // if it is pending
	Reason   string `json:"reason,omitempty"`
}

// answerOf tells a giver of an order. What is wrong inside the host stays there.
func answerOf(r *record) answer {
	a := answer{Order: r.ID, State: r.State, Amount: r.Amount, Currency: r.Currency, Combo: r.Body.Combo}
	switch r.State {
	case StatePending:
		a.Expires = r.Expires.UnixMilli()
	case StateReview:
		a.Reason = "the order is being looked into"
	default:
		a.Reason = r.Reason
	}
	return a
}

// millis rounds up to milliseconds.
func millis(d time.Duration) int64 { return int64((d + time.Millisecond - 1) / time.Millisecond) }
