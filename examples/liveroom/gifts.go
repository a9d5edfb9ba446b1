package main

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/liveim/im"
)

// giftOp is the operation by which a viewer gives a gift.
const giftOp = "demo.gift"

// giftNames are the gifts of this room. The page knows their looks.
var giftNames = []string{"rose", "star", "crown", "rocket"}

// present is the body of a call of giftOp, and of the event that it makes.
type present struct {
	Gift string `json:"gift"`
}

// give carries out giftOp. Clients cannot send gifts themselves: a real site
// takes the money here, and only then shows the gift to the room.
func (s *server) give(ctx context.Context, r *im.Request) (any, error) {
	var p present
	switch {
	case r.Room == "":
		return nil, &im.Error{Code: im.CodeBadRequest, Reason: "a gift needs a room"}
	case r.EventID() == "":
		return nil, &im.Error{Code: im.CodeBadRequest, Reason: "a gift needs a cid, so that a retry gives no second one"}
	case json.Unmarshal(r.Body, &p) != nil || !slices.Contains(giftNames, p.Gift):
		return nil, &im.Error{Code: im.CodeNotFound, Reason: "there is no such gift"}
	}
	_, err := s.hub.Room(r.Room).Send(ctx, im.Gift, p, im.AsUser(r.User), im.WithID(r.EventID()))
	return nil, err
}
