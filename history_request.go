package im

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/liveim/im/internal/wire"
)

// serveHistory answers "GET /rooms/{room}/history".
func (h *Hub) serveHistory(w http.ResponseWriter, r *http.Request, room string) {
	u, err := h.letUser(r)
	if err != nil {
		writeError(w, err)
		return
	}
	req, err := historyRequest(r, room)
	if err != nil {
		writeError(w, err)
		return
	}
	s, answers := h.transient(r, u)
	answers.serve(s, req)
	if answers.refused != nil {
		writeError(w, answers.refused)
		return
	}
	writeJSON(w, http.StatusOK, answers.messages[0])
}

// historyRequest reads the request "history" from a URL.
func historyRequest(r *http.Request, room string) (*wire.Request, error) {
	q := r.URL.Query()
	req := &wire.Request{Op: wire.OpHistory, Room: room, Newest: q.Get("newest") == "true" || q.Get("newest") == "1"}
	for name, to := range map[string]**wire.Position{"after": &req.After, "before": &req.Before} {
		p, err := ParsePosition(q.Get(name))
		if err != nil {
			return nil, errorf(CodeBadRequest, "%s: %v", name, err)
		}
		if !p.IsZero() {
			*to = (*wire.Position)(&p)
		}
	}
	for name, to := range map[string]*int64{"from": &req.From, "to": &req.To} {
		if v := q.Get(name); v != "" {
			var err error
			if *to, err = strconv.ParseInt(v, 10, 64); err != nil || *to < 1 {
				return nil, errorf(CodeBadRequest, "%s: want milliseconds since 1970", name)
			}
		}
	}
	if v := q.Get("max"); v != "" {
		var err error
		if req.Max, err = strconv.Atoi(v); err != nil || req.Max < 1 {
			return nil, errorf(CodeBadRequest, "max: want a number from 1 to 500")
		}
	}
	for _, list := range q["kinds"] {
		req.Kinds = append(req.Kinds, strings.FieldsFunc(list, func(c rune) bool { return c == ',' })...)
	}
	return req, nil
}

// history answers "history", with the rights that joining needs.
func (s *Session) history(ctx context.Context, req *wire.Request) error {
	if err := s.admit(ctx, req.Room); err != nil {
		return err
	}
	q, err := historyQuery(req)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.hub.opts.Timeouts.Hook)
	defer cancel()
	c, err := s.hub.core(ctx, req.Room)
	if err != nil {
		return err
	}
	defer c.release()
	page, epoch, err := c.history(ctx, q, maxPageBytes)
	if errors.Is(err, ErrGap) {
		return &Error{Code: CodeNotFound, Reason: "that place of the room's history is no longer kept", cause: err}
	}
	if err != nil {
		return err
	}
	buf := messages.Get().(*[]byte)
	defer freeMessage(buf)
	*buf = appendList((*buf)[:0], page.Events)
	answer := wire.History{ID: req.ID, Room: req.Room, Epoch: epoch, Missed: page.Missed, More: page.More, Next: page.Next.Seq, Events: *buf}
	s.outlet.Send(wire.AppendHistory(make([]byte, 0, len(*buf)+len(req.Room)+len(epoch)+160), &answer))
	return nil
}

// historyQuery reads what a client asks for.
func historyQuery(req *wire.Request) (HistoryQuery, error) {
	const (
		maxPage  = 500
		maxKinds = 32
	)
	q := HistoryQuery{Newest: req.Newest, Max: min(req.Max, maxPage)}
	switch {
	case len(req.Kinds) > maxKinds:
		return q, errorf(CodeBadRequest, `"kinds" are at most %d`, maxKinds)
	case req.From < 0 || req.From > MaxSeq || req.To < 0 || req.To > MaxSeq:
		return q, errorf(CodeBadRequest, `"from" and "to" are milliseconds since 1970`)
	case req.From > 0 && req.To > 0 && req.From >= req.To:
		return q, errorf(CodeBadRequest, `"from" must be before "to"`)
	}
	if req.After != nil {
		q.After = Position(*req.After)
	}
	if req.Before != nil {
		q.Before = Position(*req.Before)
	}
	if req.From > 0 {
		q.From = time.UnixMilli(req.From)
	}
	if req.To > 0 {
		q.To = time.UnixMilli(req.To)
	}
	for _, k := range req.Kinds {
		q.Kinds = append(q.Kinds, Kind(k))
	}
	return q, nil
}

// appendList appends events as clients get them, with commas between.
func appendList(dst []byte, events []*Event) []byte {
	for i, e := range events {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendEvent(dst, e)
	}
	return dst
}
