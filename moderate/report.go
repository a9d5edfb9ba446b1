package moderate

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/liveim/im"
)

// Report is what users have reported to the staff: one message, by however many.
type Report struct {
	ID      string    `json:"id"`
	Seq     uint64    `json:"seq"`
	Event   string    `json:"event"`
	User    string    `json:"user"` // who said it
	Text    string    `json:"text"`
	Reasons []string  `json:"reasons"` // of the first few who gave one
	Count   int       `json:"count"`   // of those who reported it
	First   time.Time `json:"first"`
	Last    time.Time `json:"last"`
}

// reports are the open ones of a room on this node. The zero value is empty.
type reports struct {
	mu   sync.Mutex // guards list
	list []*reported
}

type reported struct {
	Report
	by map[string]bool
}

const (
	maxReports   = 500 // open ones of a room; the oldest is forgotten for a new one
	maxReporters = 1000
	maxReasons   = 10
)

// report notes that a user has reported a message. The same user counts once.
func (m *Moderation) report(ctx context.Context, room string, by im.User, seq uint64, reason string) error {
	e, err := m.find(ctx, room, seq)
	if err != nil {
		return err
	}
	if !slices.Contains(m.opts.Kinds, e.Kind) || e.From.ID == "" {
		return badRequest("only what users have said can be reported")
	}
	now := m.opts.Now()
	open := m.reports.of(room)
	open.mu.Lock()
	i := slices.IndexFunc(open.list, func(r *reported) bool { return r.Event == e.ID })
	if i < 0 {
		if len(open.list) >= maxReports {
			open.list = slices.Delete(open.list, 0, 1)
		}
		open.list = append(open.list, &reported{Report{ID: e.ID, Seq: seq, Event: e.ID, User: e.From.ID, Text: textOf(e.Body), Reasons: []string{}, First: now}, map[string]bool{}})
		i = len(open.list) - 1
	}
	r := open.list[i]
	fresh := !r.by[by.ID] && len(r.by) < maxReporters
	if fresh {
		r.by[by.ID] = true
		r.Count++
		r.Last = now
		if reason != "" && len(r.Reasons) < maxReasons {
			r.Reasons = append(r.Reasons, reason)
		}
	}
	told := r.Report
	told.Reasons = slices.Clone(told.Reasons)
	open.mu.Unlock()
	if !fresh {
		return nil
	}
	m.tellStaff(room, MayModerate, "report", told)
	if m.opts.OnReport != nil {
		m.opts.OnReport(room, told)
	}
	m.decide(ctx, room, Decision{Action: "report", By: by.ID, User: told.User, Event: told.Event, Text: told.Text, Reason: reason})
	return nil
}

// Reports returns the open reports of a room on this node, those of most users first.
func (m *Moderation) Reports(room string) []Report {
	list := []Report{}
	open := m.reports.get(room)
	if open == nil {
		return list
	}
	open.mu.Lock()
	defer open.mu.Unlock()
	for _, r := range open.list {
		told := r.Report
		told.Reasons = slices.Clone(told.Reasons)
		list = append(list, told)
	}
	slices.SortStableFunc(list, func(a, b Report) int { return b.Count - a.Count })
	return list
}

// Resolve closes a report. by is who has dealt with it, how what they say of it.
func (m *Moderation) Resolve(ctx context.Context, room, id, by, how string) error {
	open := m.reports.get(room)
	if open == nil {
		return errNoReport(id)
	}
	open.mu.Lock()
	i := slices.IndexFunc(open.list, func(r *reported) bool { return r.ID == id })
	if i < 0 {
		open.mu.Unlock()
		return errNoReport(id)
	}
	r := open.list[i]
	open.list = slices.Delete(open.list, i, i+1)
	open.mu.Unlock()
	m.decide(ctx, room, Decision{Action: "resolve", By: by, User: r.User, Event: r.Event, Text: r.Text, Reason: how})
	m.tellStaff(room, MayModerate, "resolved", map[string]string{"id": id})
	return nil
}

func errNoReport(id string) *im.Error {
	return &im.Error{Code: im.CodeNotFound, Reason: fmt.Sprintf("there is no open report %.40q; somebody else may have dealt with it", id)}
}
