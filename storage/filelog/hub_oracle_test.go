package filelog_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/client"
	"github.com/liveim/im/storage/filelog"
)

func raw(s string) json.RawMessage { return json.RawMessage(s) }

// viewer keeps what one client was shown.
type viewer struct {
	name            string
	seen            []shown
	resumes, resets int
}

// shown is an update: a new beginning at a position if event is nil.
type shown struct {
	pos      im.Position
	event    *im.Event
	replayed bool
}

// watch runs until the last event has come, or nothing comes any more.
func (v *viewer) watch(t *testing.T, r *client.Room) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	for u := range r.Updates(ctx) {
		switch u := u.(type) {
		case client.Reset:
			v.resets++
			v.seen = append(v.seen, shown{pos: u.Position})
		case client.Resumed:
			v.resumes++
			if u.Missed != 0 {
				t.Errorf("%s is told of %d volatile events that it missed, and there were none", v.name, u.Missed)
			}
		case client.Gap:
			t.Errorf("%s is told of a gap of %d volatile events, and there were none", v.name, u.Missed)
		case client.Event:
			v.seen = append(v.seen, shown{pos: u.Pos, event: u.Event, replayed: u.Replayed})
			if string(u.Body) == lastBody {
				return
			}
		}
	}
	t.Errorf("%s was never shown the last event: %v", v.name, r.Err())
}

// check compares what it was shown with the log: gapless from each beginning on, in order, each event once.
func (v *viewer) check(t *testing.T, log []*im.Event, named map[im.Position]string) {
	next := 0
	for _, s := range v.seen {
		if s.event == nil {
			for next = 0; next < len(log) && log[next].Pos.Seq <= s.pos.Seq; next++ {
			}
			continue
		}
		if named[s.pos] != s.event.ID {
			t.Errorf("%s was shown event %q at %s, where the log has %q", v.name, s.event.ID, s.pos, named[s.pos])
			return
		}
		if s.replayed {
			continue
		}
		if next == len(log) || log[next].ID != s.event.ID {
			t.Errorf("%s was shown event %s at %s, and not the one that the log has next (number %d)", v.name, s.event.Body, s.pos, next)
			return
		}
		next++
	}
	if next != len(log) {
		t.Errorf("%s was shown the events up to number %d of %d, though the last one has come", v.name, next, len(log))
	}
}

func (k *killed) resumes() (n int) {
	for _, v := range k.viewers {
		n += v.resumes
	}
	return n
}

// resets counts those after the first join.
func (k *killed) resets() (n int) {
	for _, v := range k.viewers {
		n += v.resets - 1
	}
	return n
}

// readAll is what the log in the directory holds of clients' events.
func readAll(t *testing.T, dir string) (list []*im.Event) {
	log, err := filelog.Open(dir, &filelog.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	page, err := log.Read(context.Background(), killRoom, im.Range{Max: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range page.Events {
		if e.Kind == im.Chat || e.Kind == im.Gift {
			list = append(list, e)
		}
	}
	if d := log.Damage(); len(d) > 0 {
		t.Errorf("the kills left damage: %v", d)
	}
	return list
}

// check compares the log with what senders were told and viewers were shown.
func (k *killed) check() {
	t := k.t
	log := readAll(t, k.dir)
	at := map[string]im.Position{} // by body
	named := map[im.Position]string{}
	last := map[string]int{} // by sender
	for _, e := range log {
		body := string(e.Body)
		if first, twice := at[body]; twice {
			t.Errorf("%s is in the log twice, at %s and %s", body, first, e.Pos)
		}
		if named[e.Pos] != "" {
			t.Errorf("%s names two events", e.Pos)
		}
		at[body], named[e.Pos] = e.Pos, e.ID
		sender, number, _ := strings.Cut(strings.Trim(body, `"`), ":")
		var n int
		if _, err := fmt.Sscan(number, &n); err != nil {
			continue // the last one
		}
		if before, ok := last[sender]; ok && n != before+1 {
			t.Errorf("in the log, number %d of %s comes after number %d", n, sender, before)
		}
		last[sender] = n
	}
	for _, a := range k.acks {
		pos, ok := at[a.body]
		if !ok {
			t.Errorf("%s was acknowledged, and is not in the log", a.body)
		} else if a.at != "" && a.at != fmt.Sprintf("%q", pos) {
			t.Errorf("%s was acknowledged at %s, and is at %s", a.body, a.at, pos)
		}
	}
	if len(k.acks) != len(log) {
		t.Errorf("%d events were acknowledged and %d are in the log", len(k.acks), len(log))
	}
	for _, v := range k.viewers {
		v.check(t, log, named)
	}
}
