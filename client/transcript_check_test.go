package client

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing/synctest"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/internal/httpquery"
)

// checkQuery compares the rooms that the handshake named, in any order.
func (r *replay) checkQuery(want string) error {
	r.connected()
	got, asked := queryRooms(r.peer.query), queryRooms(want)
	if !slices.Equal(got, asked) {
		return fmt.Errorf("the handshake named %q; want %q", got, asked)
	}
	return nil
}

func queryRooms(query string) []httpquery.Room {
	rooms, err := httpquery.Query(query).Rooms("")
	if err != nil {
		return []httpquery.Room{{Name: err.Error()}}
	}
	slices.SortFunc(rooms, func(a, b httpquery.Room) int { return cmp.Compare(a.Name, b.Name) })
	return rooms
}

// check compares what an = line says with what the application sees.
func (r *replay) check(line string) error {
	synctest.Wait()
	f := strings.Fields(line)
	switch f[0] {
	case "connected":
		return r.outcome("connect", "", nil)
	case "done":
		return r.outcome(f[1], "", nil)
	case "refused":
		return r.outcome(f[1], "", &im.Error{Code: im.Code(f[2])})
	case "ack":
		if cid, ok := r.cids[f[1]]; ok {
			f[1] = cid
		}
		return r.outcome("send call", f[1]+" "+f[2], nil)
	case "version":
		return r.outcome("set add modes", f[1]+" "+f[2], nil)
	case "pages":
		return r.outcome("pages", strings.Join(f[1:], " "), nil)
	case "closed":
		return r.closed(im.Code(f[1]))
	case "state":
		v, _, ok := r.rooms[f[1]].Get(f[2])
		if want := strings.Join(f[3:], " "); ok != (want != "-") || ok && string(v) != want {
			return fmt.Errorf("the client has %s, %v", v, ok)
		}
		return nil
	case "modes":
		m, _ := r.rooms[f[1]].Modes()
		if got, err := json.Marshal(m); err != nil || string(got) != f[2] {
			return fmt.Errorf("the client has %s, %v", got, err)
		}
		return nil
	case "position":
		if pos := r.rooms[f[1]].Position(); pos.String() != f[2] {
			return fmt.Errorf("the client is at %v", pos)
		}
		return nil
	}
	if r.seen[f[1]] == nil {
		return fmt.Errorf("room %q is not joined", f[1])
	}
	select {
	case u := <-r.seen[f[1]]:
		if got := showUpdate(f[1], u); got != line {
			return fmt.Errorf("the application sees %s", got)
		}
		return nil
	case <-time.After(time.Minute):
		return errors.New("the application sees nothing")
	}
}

func (r *replay) closed(code im.Code) error {
	select {
	case <-r.client.Done():
	case <-time.After(time.Minute):
		return errors.New("the client goes on")
	}
	if err := r.client.Err(); code == "-" && !errors.Is(err, ErrClosed) || code != "-" && !isCode(err, code) {
		return fmt.Errorf("it ended with %v", err)
	}
	return nil
}

func (r *replay) outcome(verbs, text string, want error) error {
	deadline := time.After(time.Minute)
	for {
		for i, o := range r.kept {
			if !strings.Contains(" "+verbs+" ", " "+o.verb+" ") || text != "" && text != o.text {
				continue
			}
			r.kept = append(r.kept[:i:i], r.kept[i+1:]...)
			if !errors.Is(o.err, want) {
				return fmt.Errorf("the outcome is %q, %v", o.text, o.err)
			}
			if o.then != nil && o.err == nil {
				o.then()
			}
			return nil
		}
		select {
		case o := <-r.outcomes:
			r.kept = append(r.kept, o)
		case <-deadline:
			return fmt.Errorf("no such outcome; others are %+v", r.kept)
		}
	}
}

func showUpdate(room string, u Update) string {
	switch u := u.(type) {
	case Reset:
		return fmt.Sprint("reset ", room, " ", u.Position)
	case Resumed:
		return fmt.Sprint("resumed ", room, " ", u.Missed)
	case Event:
		return fmt.Sprint("event ", room, " ", u.Pos.Seq)
	case Removed:
		return strings.TrimSpace(fmt.Sprint("removed ", room, " ", strings.Trim(strings.ReplaceAll(fmt.Sprint(u.Seqs), " ", ","), "[]"), " ", u.User))
	case Gap:
		return fmt.Sprint("gap ", room, " ", u.Missed)
	case TierChanged:
		if u.ByServer {
			return fmt.Sprint("tier ", room, " ", u.Tier, " server")
		}
		return fmt.Sprint("tier ", room, " ", u.Tier)
	case Online:
		return fmt.Sprint("online ", room, " ", u.Count)
	case Fate:
		return fmt.Sprint("fate ", room, " ", u.CID, " ", u.Status)
	case Held:
		return fmt.Sprint("held ", room, " ", u.Event.ID, " ", u.Wait.Milliseconds())
	case Decided:
		return fmt.Sprint("decided ", room, " ", u.ID, " ", u.Status)
	case Left:
		return fmt.Sprint("left ", room, " ", u.Err.Code)
	}
	return fmt.Sprintf("%#v", u)
}
