package im

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/liveim/im/internal/httpquery"
	"github.com/liveim/im/internal/wire"
	"github.com/liveim/im/transport/longpoll"
	"github.com/liveim/im/transport/sse"
)

// serveStream answers "GET /sse": a stream of events that is in the rooms which
// the request names.
func (h *Hub) serveStream(w http.ResponseWriter, r *http.Request) {
	if err := h.admitConnection(); err != nil {
		writeError(w, err)
		return
	}
	u, rooms, err := h.letReader(r, r.Header.Get("Last-Event-ID"))
	if err != nil {
		writeError(w, err)
		return
	}
	if err := h.connect(); err != nil {
		writeError(w, err)
		return
	}
	names := make([]string, len(rooms))
	for i, room := range rooms {
		names[i] = room.Name
	}
	conn, err := sse.Accept(w, r, names, &h.stream)
	if err != nil {
		h.disconnect()
		if !errors.Is(err, sse.ErrHead) {
			h.opts.Logger.Debug("a stream could not begin", "remote", r.RemoteAddr, "error", err)
		}
		return
	}
	// The viewer's last stream may not have noticed yet that it is gone; it must
	// not count as another viewer.
	if old := h.session(httpquery.Query(r.URL.RawQuery).Get("sid"), u.ID); old != nil {
		old.abort()
	}
	s := h.open(conn, r, u)
	for _, room := range rooms {
		s.enterByQuery(h.life, room)
	}
	conn.Wait()
}

// Bounds of the time that a poll waits for news.
const (
	defaultWait = 25 * time.Second
	longestWait = time.Minute
)

// servePoll answers "GET /poll". Between two requests the session stays in its
// rooms, as one that does not read; a request that comes with other positions than
// the session has told, because an answer was lost or another server gave them,
// joins with them.
func (h *Hub) servePoll(w http.ResponseWriter, r *http.Request) {
	q := httpquery.Query(r.URL.RawQuery)
	if err := h.admitConnection(); err != nil && q.Get("sid") == "" {
		writeError(w, err)
		return
	}
	u, rooms, err := h.letReader(r, "")
	if err != nil {
		writeError(w, err)
		return
	}
	wait, err := waitOf(q.Get("wait"))
	if err != nil {
		writeError(w, err)
		return
	}
	s := h.session(q.Get("sid"), u.ID)
	if conn, _ := pollConn(s); conn != nil {
		conn.Interrupt() // what waits there takes nothing more: the positions stand still
		s.follow(rooms)
		if conn.ServePoll(w, r, wait) == nil {
			return
		}
		// The session has ended meanwhile, and nothing was answered.
	}
	if err := h.connect(); err != nil {
		writeError(w, err)
		return
	}
	conn := longpoll.New(&h.poll)
	h.open(conn, r, u).follow(rooms)
	if err := conn.ServePoll(w, r, wait); err != nil {
		writeError(w, &Error{Code: CodeShutdown, RetryAfter: h.returnTime(), cause: err})
	}
}

// follow has the session of a long-poll be in the rooms that a request names,
// where the request says that the client is.
func (s *Session) follow(rooms []httpquery.Room) {
	s.hear()
	s.rare.pollMu.Lock() // two requests at a time do not mix their joins
	defer s.rare.pollMu.Unlock()
	for _, room := range rooms {
		if !s.standsAt(room) {
			s.enterByQuery(s.hub.life, room)
		}
	}
	for _, room := range s.Rooms() {
		if slices.ContainsFunc(rooms, func(asked httpquery.Room) bool { return asked.Name == room }) {
			continue
		}
		if m := s.member(room); m != nil {
			s.leave(m, 0, nil)
		}
	}
}

// pollConn returns the connection of a session if that is a long-poll.
func pollConn(s *Session) (*longpoll.Conn, bool) {
	if s == nil {
		return nil, false
	}
	conn, ok := s.conn.(*longpoll.Conn)
	return conn, ok
}

func waitOf(v string) (time.Duration, error) {
	if v == "" {
		return defaultWait, nil
	}
	ms, err := strconv.ParseUint(v, 10, 32)
	if err != nil || time.Duration(ms)*time.Millisecond > longestWait {
		return 0, errorf(CodeBadRequest, "wait: want milliseconds, %d at most", longestWait.Milliseconds())
	}
	return time.Duration(ms) * time.Millisecond, nil
}

// letReader is let for requests that name rooms in their query.
func (h *Hub) letReader(r *http.Request, lastEventID string) (*User, []httpquery.Room, error) {
	u, err := h.letUser(r)
	if err != nil {
		return nil, nil, err
	}
	rooms, err := httpquery.Query(r.URL.RawQuery).Rooms(lastEventID)
	if err != nil {
		return nil, nil, &Error{Code: CodeBadRequest, Reason: err.Error(), cause: err}
	}
	for _, room := range rooms {
		if err := checkRoomID(room.Name); err != nil {
			return nil, nil, err
		}
		if _, err := ParsePosition(room.Since); err != nil {
			return nil, nil, errorf(CodeBadRequest, "since: want epoch.seq, as the server sent it")
		}
	}
	return u, rooms, nil
}

// enterByQuery joins a room that a query names. A refusal reaches the client as
// a departure.
func (s *Session) enterByQuery(ctx context.Context, room httpquery.Room) {
	req := &wire.Request{Op: wire.OpJoin, Room: room.Name, Tier: room.Tier}
	if since, err := ParsePosition(room.Since); err == nil && !since.IsZero() { // letReader has checked it
		req.Since = (*wire.Position)(&since)
	}
	err := s.hub.begin()
	if err == nil {
		err = s.hub.protect("a join", func() error { return s.join(ctx, req) })
		s.hub.inflight.Done()
	}
	if err != nil {
		e := asError(err)
		s.hub.stats.refused.Add(1)
		s.hub.observe(Signal{Type: SignalRefused, Room: room.Name, Session: s, Op: wire.OpJoin, Err: err})
		s.reply(&wire.Message{Op: wire.OpLeft, Room: room.Name, Code: string(e.Code), Reason: e.reason(), Retry: e.retryMillis()})
	}
}

// standsAt reports whether the session is in a room, and the client where the
// session thinks that it is.
func (s *Session) standsAt(room httpquery.Room) bool {
	m := s.member(room.Name)
	if m == nil {
		return false
	}
	c := m.core
	c.mu.Lock()
	defer c.mu.Unlock()
	if m.slot < 0 || m.tier != tiers[room.Tier] {
		return false
	}
	cursor := c.cursors[m.slot]
	since, err := ParsePosition(room.Since)
	return err == nil && since == (Position{cursor.Epoch, cursor.Seq()})
}
