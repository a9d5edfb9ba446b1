// Package httpquery reads the query parameters that streams and polls share.
package httpquery

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
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

// ParseRooms pairs the room, since and tier parameters of q by their places.
// lastEventID is the header of that name: if it is not empty, it holds the
// positions of all rooms, separated by commas, in place of since. The errors are
// for the client, and quote nothing of the request.
func ParseRooms(q url.Values, lastEventID string) ([]Room, error) {
	names, since, tiers := q["room"], q["since"], q["tier"]
	switch {
	case len(names) > MaxRooms:
		return nil, errTooMany
	case len(since) > len(names) || len(tiers) > len(names):
		return nil, errUnpaired
	}
	if lastEventID != "" {
		if strings.Count(lastEventID, ",")+1 != len(names) {
			return nil, errLastID
		}
		since = strings.Split(lastEventID, ",")
	}
	rooms := make([]Room, len(names))
	for i, name := range names {
		if name == "" {
			return nil, errEmpty
		}
		if slices.Contains(names[:i], name) {
			return nil, errTwice
		}
		rooms[i].Name = name
		if i < len(since) {
			rooms[i].Since = since[i]
		}
		if i < len(tiers) {
			rooms[i].Tier = tiers[i]
		}
	}
	return rooms, nil
}
