// Package httpquery reads the query parameters that streams and polls share.
package httpquery

import (
	"errors"
	"fmt"
	"iter"
	"net/url"
	"strings"
)

// MaxRooms is how many rooms one request may name.
const MaxRooms = 16

// Room is what a request says about one room. The strings are as the client sent
// them; only their pairing has been checked.
type Room struct {
	Name  string // not empty
	Since string // the client's position, "epoch.seq", or empty
	Tier  string // or empty
}

var (
	errTooMany  = fmt.Errorf("name at most %d rooms in one request", MaxRooms)
	errUnpaired = errors.New("each since and each tier belongs to the room at the same place: there are more of them than rooms")
	errEmpty    = errors.New("a room parameter is empty: leave it out, or name the room")
	errTwice    = errors.New("a room is named twice: name each room once")
	errLastID   = errors.New("Last-Event-ID does not hold one position for each room: open the stream with the rooms that it was opened with, or without that header")
)

// Query is the query of a request, as it was sent. Its methods allocate no more than they
// return, and leave out pairs that are malformed, as [url.URL.Query] does.
type Query string

// Get returns the first value of a parameter, or nothing.
func (q Query) Get(name string) string {
	for key, value := range q.pairs() {
		if key == name {
			return value
		}
	}
	return ""
}

// Rooms pairs the room, since and tier parameters by their places. lastEventID is the
// header of that name: if it is not empty, it holds the positions of all rooms, separated by
// commas, in place of since. The errors are for the client, and quote nothing of the
// request.
func (q Query) Rooms(lastEventID string) ([]Room, error) {
	count := 0
	for key := range q.pairs() {
		if key == "room" {
			count++
		}
	}
	if count > MaxRooms {
		return nil, errTooMany
	}
	rooms := make([]Room, count)
	names, since, tiers := 0, 0, 0
	for key, value := range q.pairs() {
		switch key {
		case "room":
			rooms[names].Name = value
			names++
		case "since":
			if since++; since <= count {
				rooms[since-1].Since = value
			}
		case "tier":
			if tiers++; tiers <= count {
				rooms[tiers-1].Tier = value
			}
		}
	}
	if since > count || tiers > count {
		return nil, errUnpaired
	}
	if lastEventID != "" && !setSince(rooms, lastEventID) {
		return nil, errLastID
	}
	return rooms, check(rooms)
}

// setSince sets the positions of all rooms. It reports false if there are more of them, or less.
func setSince(rooms []Room, lastEventID string) bool {
	if strings.Count(lastEventID, ",")+1 != len(rooms) {
		return false
	}
	for i := range rooms {
		rooms[i].Since, lastEventID, _ = strings.Cut(lastEventID, ",")
	}
	return true
}

func check(rooms []Room) error {
	for i := range rooms {
		if rooms[i].Name == "" {
			return errEmpty
		}
		for j := range i {
			if rooms[i].Name == rooms[j].Name {
				return errTwice
			}
		}
	}
	return nil
}

// pairs yields the pairs that [url.ParseQuery] takes, in their order.
func (q Query) pairs() iter.Seq2[string, string] {
	return func(yield func(key, value string) bool) {
		for rest := string(q); rest != ""; {
			var pair string
			pair, rest, _ = strings.Cut(rest, "&")
			if pair == "" || strings.IndexByte(pair, ';') >= 0 {
				continue
			}
			key, value, _ := strings.Cut(pair, "=")
			key, err := url.QueryUnescape(key)
			if err != nil {
				continue
			}
			if value, err = url.QueryUnescape(value); err == nil && !yield(key, value) {
				return
			}
		}
	}
}
