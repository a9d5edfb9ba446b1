package client

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/liveim/im"
	"github.com/liveim/im/internal/wire"
)

// Bounds of what the URL of a handshake says of rooms. Those that do not fit in are
// joined by a message.
const (
	maxQueryRooms = 8
	maxQuery      = 2 << 10 // bytes
	maxRoomName   = 128     // bytes, of the protocol
)

// dialFunc opens a connection. The server joins the rooms that the query names, if there is one.
type dialFunc func(ctx context.Context, query string) (Conn, error)

// entry is how a room is to be entered.
type entry struct {
	since im.Position
	tier  Tier
}

func (r *Room) entry() entry { return entry{r.view.pos, r.tier} }

// open makes a connection, and has its handshake join the rooms that there are, if the request says
// who the client is. It returns those that were asked for.
func (c *Client) open(ctx context.Context) (Conn, map[string]entry, error) {
	query, asked := c.roomQuery()
	conn, err := c.dial(ctx, query)
	var refusal *im.Error
	if query != "" && errors.As(err, &refusal) && refusal.Code.Retry() == im.RetryNever {
		// That may be about the query alone, which no message has to suffer for.
		conn, err = c.dial(ctx, "")
		asked = nil
	}
	return conn, asked, err
}

// roomQuery returns the query for the rooms of the client, and how it says that they are to be entered.
func (c *Client) roomQuery() (query string, asked map[string]entry) {
	if c.opt.Token != nil || c.opt.Dial != nil {
		return "", nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.rooms {
		at := r.entry()
		if len(asked) == maxQueryRooms || !fitsQuery(r.name, at) {
			continue
		}
		if longer := appendRoom(query, r.name, at); len(longer) <= maxQuery {
			if asked == nil {
				asked = map[string]entry{}
			}
			query, asked[r.name] = longer, at
		}
	}
	return query, asked
}

// fitsQuery reports whether a query may name the room. The server refuses the whole handshake for
// one that is malformed.
func fitsQuery(name string, at entry) bool {
	return name != "" && len(name) <= maxRoomName && utf8.ValidString(name) && !strings.ContainsFunc(name, unicode.IsControl) &&
		(at.since.IsZero() || at.since.Epoch != "" && at.since.Seq <= im.MaxSeq)
}

// appendRoom adds a room. The parameters of one room stand at the same place, so all are there.
func appendRoom(query, name string, at entry) string {
	since := ""
	if !at.since.IsZero() {
		since = at.since.String()
	}
	if query != "" {
		query += "&"
	}
	return query + "room=" + url.QueryEscape(name) + "&since=" + url.QueryEscape(since) + "&tier=" + url.QueryEscape(string(at.tier))
}

// withQuery adds a query to a URL, which may have one.
func withQuery(rawURL, query string) string {
	switch {
	case query == "":
		return rawURL
	case strings.Contains(rawURL, "?"):
		return rawURL + "&" + query
	}
	return rawURL + "?" + query
}

// joinRooms joins the rooms of the client over a new connection. The server joins some of them without being
// asked once more: those that the handshake asked for and the welcome names. c.mu is held.
func (c *Client) joinRooms(asked map[string]entry, joining []string) {
	for _, r := range c.rooms {
		at, ok := asked[r.name]
		c.joinBy(r, ok && at == r.entry() && slices.Contains(joining, r.name))
	}
}

// answersJoin reports whether m is the answer to the join of the room that is under way.
func (r *Room) answersJoin(m *wire.Message) bool {
	k := r.joining
	return k != nil && (m.ID == k.req.ID || m.ID == 0 && k.asked)
}

// leaveUnheard leaves a room that nobody wants any more, perhaps one that a handshake has joined. c.mu is held.
func (c *Client) leaveUnheard(name string) {
	leave := &call{req: wire.Request{Op: wire.OpLeave, Room: name}, finish: func(*wire.Message, error) {}}
	_ = c.begin(leave) // it has a name that was sent before, and nobody waits
}
