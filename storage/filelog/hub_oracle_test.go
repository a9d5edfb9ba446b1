package filelog_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/liveim/im"
	"github.com/liveim/im/storage/filelog"
)

func raw(s string) json.RawMessage { return json.RawMessage(s) }

// names is what each position was ever seen to name, by anybody and in any life of the hub.
type names map[im.Position]named

// named is an event, as far as is known: an acknowledgement tells no id, or no position.
type named struct{ id, body, by string }

// note checks that a position names no other event than it did before.
func (n names) note(t *testing.T, pos im.Position, id, body, by string) {
	t.Helper()
	before, known := n[pos]
	if known && (before.body != body || before.id != "" && id != "" && before.id != id) {
		t.Errorf("%s names two events: %s (%q) says %s, and %s (%q) says %s",
			pos, before.body, before.id, before.by, body, id, by)
		return
	}
	if id == "" {
		id = before.id
	}
	n[pos] = named{id, body, by}
}

// leftovers are what a killed hub has left behind.
type leftovers struct {
	dir  string // a copy of its log
	acks []ack
	seen [][]shown // by viewer
}

// leftovers keeps them, while nobody else has the log. What clients get to know while it does is left out.
func (k *killed) leftovers() leftovers {
	l := leftovers{dir: filepath.Join(k.t.TempDir(), "copy")}
	if err := os.CopyFS(l.dir, os.DirFS(k.dir)); err != nil {
		k.t.Fatal(err)
	}
	k.mu.Lock()
	l.acks = slices.Clone(k.acks)
	k.mu.Unlock()
	for _, v := range k.viewers {
		l.seen = append(l.seen, v.all())
	}
	return l
}

// examine checks that the log of a killed hub has everything that was acknowledged or shown.
func (k *killed) examine(l leftovers) {
	log := readAll(k.t, l.dir)
	k.noteAll("the log after a kill", log)
	stored := map[string]bool{}
	for _, e := range log {
		stored[string(e.Body)] = true
	}
	for _, a := range l.acks {
		if !stored[a.body] {
			k.t.Errorf("%s was acknowledged before a kill, and is not in the log after it", a.body)
		}
	}
	for i, seen := range l.seen {
		for _, s := range seen {
			if s.event != nil && lasting(s.event) && !stored[string(s.event.Body)] {
				k.t.Errorf("%s was shown to %s before a kill, and is not in the log after it", s.event.Body, k.viewers[i].name)
			}
		}
	}
	if err := os.RemoveAll(l.dir); err != nil {
		k.t.Error(err)
	}
}

func (k *killed) noteAll(by string, events []*im.Event) {
	for _, e := range events {
		k.names.note(k.t, e.Pos, e.ID, string(e.Body), by)
	}
}

// checkSplit checks that the last kill fell between viewers: those that had the event when the hub died, as it says
// itself, had it before they came back, and the others had not.
func (k *killed) checkSplit() {
	var target string
	var had []string
	for line := range strings.Lines(k.lastWords) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "shown" {
			target, had = f[1], f[2:]
		}
	}
	if len(had) == 0 || len(had) >= killViewers {
		k.t.Errorf("the hub died when %d of %d viewers had the event, want some and not all: %q", len(had), killViewers, k.lastWords)
	}
	k.splits = append(k.splits, len(had))
	for _, v := range k.viewers {
		if want := slices.Contains(had, v.name); v.hadBeforeTheKill(target) != want {
			k.t.Errorf("%s had %s before the kill: %v, and the hub had written it: %v", v.name, target, !want, want)
		}
	}
}

// lasting reports whether an event is one of those that may never be missing.
func lasting(e *im.Event) bool { return e.Kind == im.Chat || e.Kind == im.Gift }

// readAll is what the log in the directory holds.
func readAll(t *testing.T, dir string) []*im.Event {
	log, err := filelog.Open(dir, &filelog.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	page, err := log.Read(context.Background(), killRoom, im.Range{Max: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	if d := log.Damage(); len(d) > 0 {
		t.Errorf("the kills left damage: %v", d)
	}
	return page.Events
}

// check compares the log with what senders were told and viewers were shown.
func (k *killed) check() {
	t := k.t
	events := readAll(t, k.dir)
	k.noteAll("the log in the end", events)
	log := slices.DeleteFunc(slices.Clone(events), func(e *im.Event) bool { return !lasting(e) })
	at := map[string]*im.Event{} // by body
	last := map[string]int{}     // by sender
	for _, e := range log {
		body := string(e.Body)
		if first := at[body]; first != nil {
			t.Errorf("%s is in the log twice, at %s and %s", body, first.Pos, e.Pos)
		}
		at[body] = e
		if e.Pos.Epoch != log[0].Pos.Epoch {
			t.Errorf("the log has events of epochs %s and %s", log[0].Pos, e.Pos)
		}
		sender, number, _ := strings.Cut(strings.Trim(body, `"`), ":")
		var n int
		if _, err := fmt.Sscan(number, &n); err != nil {
			t.Errorf("in the log is %s, that nobody has sent", body)
		}
		if before, ok := last[sender]; ok && n != before+1 {
			t.Errorf("in the log, number %d of %s comes after number %d", n, sender, before)
		}
		last[sender] = n
	}
	k.checkAcks(at)
	if len(k.acks) != len(log) {
		t.Errorf("%d events were acknowledged and %d are in the log", len(k.acks), len(log))
	}
	kept := map[im.Position]bool{}
	for _, e := range events {
		kept[e.Pos] = true
	}
	gone := map[im.Position]bool{}
	for _, v := range k.viewers {
		for _, s := range v.seen {
			if s.event == nil {
				continue
			}
			k.names.note(t, s.pos, s.event.ID, string(s.event.Body), v.name)
			if !kept[s.pos] {
				gone[s.pos] = true
			}
		}
		v.check(t, log)
	}
	k.gone = len(gone)
}

// checkAcks checks that the log has what was acknowledged, as it was acknowledged.
func (k *killed) checkAcks(at map[string]*im.Event) {
	for _, a := range k.acks {
		e := at[a.body]
		if e == nil {
			k.t.Errorf("%s was acknowledged, and is not in the log", a.body)
			continue
		}
		if a.at != "" {
			pos := k.position(a)
			k.names.note(k.t, pos, a.id, a.body, "an acknowledgement")
			if pos != e.Pos {
				k.t.Errorf("%s was acknowledged at %s, and is at %s", a.body, pos, e.Pos)
			}
		}
		if a.id != "" && a.id != e.ID {
			k.t.Errorf("%s was acknowledged as %q, and is %q in the log", a.body, a.id, e.ID)
		}
	}
}

// check compares what it was shown with what lasts in the log: gapless from each beginning on, in order, each event once. A
// new beginning leaves out what came before it, takes nothing back, and ends its replay where it says that it is.
func (v *viewer) check(t *testing.T, log []*im.Event) {
	index := map[string]int{} // by id
	for i, e := range log {
		index[e.ID] = i
	}
	next := 0               // the event of the log that is to come
	replay := -1            // the one that is to be replayed next, if it began
	var reached im.Position // up to which everything is settled
	for _, s := range v.seen {
		switch {
		case s.event == nil && s.pos.IsZero(): // it goes on
		case s.event == nil:
			if s.pos.Epoch != log[0].Pos.Epoch || s.pos.Seq < reached.Seq {
				t.Errorf("%s begins anew at %s, and had come to %s", v.name, s.pos, reached)
			}
			for reached, next, replay = s.pos, 0, -1; next < len(log) && log[next].Pos.Seq <= s.pos.Seq; next++ {
			}
		case s.replayed && lasting(s.event):
			i, ok := index[s.event.ID]
			if !ok || i >= next || replay >= 0 && i != replay {
				t.Errorf("%s was shown again event %s at %s, which is number %d (%v) of the log, want number %d", v.name, s.event.Body, s.pos, i, ok, replay)
				return
			}
			replay = i + 1
		case s.replayed:
		default:
			if replay >= 0 && replay != next {
				t.Errorf("%s began anew before number %d of the log, and was shown again what comes before number %d", v.name, next, replay)
				return
			}
			replay = -1
			if s.pos.Seq <= reached.Seq || s.pos.Epoch != reached.Epoch {
				t.Errorf("%s was shown event %s at %s, and had come to %s", v.name, s.event.Body, s.pos, reached)
			}
			reached = s.pos
			if !lasting(s.event) {
				continue
			}
			if next == len(log) || log[next].ID != s.event.ID {
				t.Errorf("%s was shown event %s at %s, and not the one that the log has next (number %d)", v.name, s.event.Body, s.pos, next)
				return
			}
			next++
		}
	}
	if next != len(log) {
		t.Errorf("%s was shown the events up to number %d of %d, though the last one has come", v.name, next, len(log))
	}
}
