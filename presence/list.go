package presence

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/liveim/im"
)

const (
	opList      = "presence.list"
	standardMax = 100 // members of a page
	highestMax  = 500
)

// listRequest is the body of "presence.list".
type listRequest struct {
	After uint64 `json:"after"`
	Max   int    `json:"max"`
}

// list answers "presence.list": a page of the roster, for who is in the room and may read it.
func (p *Presence) list(_ context.Context, req *im.Request) (any, error) {
	if req.Room == "" {
		return nil, &im.Error{Code: im.CodeBadRequest, Reason: opList + " needs a room"}
	}
	if _, in := p.hub.Room(req.Room).Member(req.User.ID); !in {
		return nil, &im.Error{Code: im.CodeNotJoined}
	}
	if p.opts.Readers != nil && !p.opts.Readers.Allow(&req.User) {
		return nil, &im.Error{Code: im.CodeForbidden, Reason: "you may not read who is in the room"}
	}
	var ask listRequest
	if len(req.Body) > 0 {
		if err := json.Unmarshal(req.Body, &ask); err != nil || ask.Max < 0 {
			return nil, &im.Error{Code: im.CodeBadRequest, Reason: `the body of presence.list is {"after":0,"max":100}, both optional`}
		}
	}
	if ask.Max == 0 {
		ask.Max = standardMax
	}
	page := Page{Members: []Member{}}
	p.look(req.Room, func(r *roster) {
		if r.large {
			page = Page{Of: r.of, Version: r.v, Count: r.len(), Large: true, Members: []Member{}, Top: slices.Clone(r.top(p.opts.Top))}
			return
		}
		page = r.page(ask.After, min(ask.Max, highestMax), p.opts.Top)
	})
	return page, nil
}
