package foreign

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest"
)

// venue is a hub behind a proxy, and what a client does there.
type venue struct {
	*im.Hub
	t       *testing.T
	proxy   *proxy
	signals chan im.Signal
	program *program        // that runs, or nil
	ctx     context.Context // ends before the time of the test does
}

// open starts a hub. The token is the user's id, and "wrong" is refused.
func open(t *testing.T) *venue {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	t.Cleanup(cancel)
	v := &venue{t: t, signals: make(chan im.Signal, 1000), ctx: ctx}
	auth := func(r *http.Request) (im.User, error) {
		if r.Header.Get("Authorization") == "Bearer wrong" {
			return im.User{}, &im.Error{Code: im.CodeUnauthorized, Reason: "wrong token"}
		}
		return imtest.BearerUser(r)
	}
	log, err := im.NewMemoryLog(&im.MemoryLogOptions{KeepVolatile: 2000}) // all, to compare with
	if err != nil {
		t.Fatal(err)
	}
	hub, err := im.New(auth, &im.Options{
		Pressure: func() float64 { return 0 }, // however busy the machine is
		Log:      log,
		Observe:  func(s im.Signal) { v.signals <- s },
		Timeouts: im.Timeouts{Heartbeat: time.Second, Answer: time.Second},
	})
	if err != nil {
		t.Fatal(err)
	}
	v.Hub = hub
	mux := http.NewServeMux()
	mux.Handle("/im/", http.StripPrefix("/im", hub))
	server := httptest.NewServer(mux)
	t.Cleanup(func() {
		_ = hub.Close()
		server.Close()
	})
	v.proxy = newProxy(t, strings.TrimPrefix(server.URL, "http://"))
	return v
}

// program is a script of this directory that runs.
type program struct {
	t      *testing.T
	cmd    *exec.Cmd
	out    strings.Builder
	stderr strings.Builder
	done   chan struct{} // closed when it has ended
	err    error         // then: how
}

// start runs a script with HUB set to the mount, as it is seen through the proxy.
func (v *venue) start(script string) *program {
	v.t.Helper()
	if _, err := os.Stat("node_modules"); errors.Is(err, os.ErrNotExist) {
		v.t.Fatal("the foreign clients are not installed: run npm ci in web/test/foreign, as make test does")
	}
	p := &program{t: v.t, cmd: exec.CommandContext(v.ctx, "node", script), done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), "HUB=http://"+v.proxy.addr()+"/im")
	p.cmd.Stdout, p.cmd.Stderr, p.cmd.WaitDelay = &p.out, &p.stderr, 5*time.Second
	if err := p.cmd.Start(); err != nil {
		v.t.Fatalf("%v: install Node.js 20 or newer", err)
	}
	v.program = p
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	v.t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.done
	})
	return p
}

// result waits for the end of the script and decodes what it has printed.
func (p *program) result(to any) {
	p.t.Helper()
	<-p.done
	if err := cmp.Or(p.err, json.Unmarshal([]byte(p.out.String()), to)); err != nil {
		p.t.Fatalf("%s: %v\n%s%s", strings.Join(p.cmd.Args, " "), err, p.out.String(), p.stderr.String())
	}
}

// await waits until something is observed, and returns that.
func (v *venue) await(what string, is func(im.Signal) bool) im.Signal {
	v.t.Helper()
	for {
		select {
		case s := <-v.signals:
			if is(s) {
				return s
			}
		case <-v.program.done:
			v.t.Fatalf("waiting for %s: the script has ended, %v\n%s%s", what, v.program.err, v.program.out.String(), v.program.stderr.String())
		}
	}
}

// joined waits until a client has entered the rooms, in their order.
func (v *venue) joined(rooms ...string) {
	v.t.Helper()
	for _, room := range rooms {
		v.await("a join of "+room, func(s im.Signal) bool { return s.Type == im.SignalJoined && s.Room == room })
	}
}

// said waits until a client has said a word in the room.
func (v *venue) said(room, word string) {
	v.t.Helper()
	v.await("the word "+word, func(s im.Signal) bool {
		return s.Type == im.SignalAccepted && s.Room == room && string(s.Event.Body) == `"`+word+`"`
	})
}

// speak sends a number to a room. One after the other they come in one order.
func (v *venue) speak(room string, kind im.Kind, n int) {
	v.t.Helper()
	if _, err := v.Room(room).Send(v.ctx, kind, map[string]any{"n": n, "text": "弹幕 № \u2028 " + strings.Repeat("~", n%50)}); err != nil {
		v.t.Fatal(err)
	}
}

// pause lets what was sent leave by itself, so that what follows is not in the same message.
func (v *venue) pause() {
	select {
	case <-time.After(25 * time.Millisecond): // a little more than the hub's FlushGap
	case <-v.ctx.Done():
	}
}

// sighting is what a script has seen of a room.
type sighting struct {
	Joins  []join `json:"joins"`
	Events []event
	Missed int // volatile events, as the hub said
	Lost   int // messages whose prev was above the position
}

type join struct {
	Recovered bool
	Missed    int
}

type event struct {
	Seq  uint64
	ID   string
	Kind im.Kind
	Body json.RawMessage
}

// check compares what was seen with the log: nothing is missing or double, and
// what a client was told that it did not get is all that it did not get.
func (v *venue) check(room string, s *sighting, joins int) {
	v.t.Helper()
	page, err := v.Room(room).History(v.ctx, im.HistoryQuery{Max: 10_000})
	if err != nil {
		v.t.Fatal(err)
	}
	v.compare(room, page.Events, s, joins)
}

func (v *venue) compare(room string, log []*im.Event, s *sighting, joins int) {
	v.t.Helper()
	if s == nil {
		v.t.Fatalf("the script tells nothing of room %s", room)
	}
	if len(s.Joins) != joins || s.Lost != 0 {
		v.t.Errorf("room %s: %d joins, %d messages lost; want %d, 0", room, len(s.Joins), s.Lost, joins)
	}
	for i, j := range s.Joins {
		if j.Recovered != (i > 0) {
			v.t.Errorf("room %s: join %d has recovered: %t", room, i+1, j.Recovered)
		}
	}
	absent, i := 0, 0
	for _, want := range log {
		if i < len(s.Events) && s.Events[i].Seq == want.Pos.Seq {
			if got := s.Events[i]; got.ID != want.ID || got.Kind != want.Kind || !sameJSON(got.Body, want.Body) {
				v.t.Fatalf("room %s: got %s %s %s, want %s %s %s", room, got.ID, got.Kind, got.Body, want.ID, want.Kind, want.Body)
			}
			i++
			continue
		}
		if absent++; want.Kind != im.Danmaku {
			v.t.Errorf("room %s: event %d (%s) was missed", room, want.Pos.Seq, want.Kind)
		}
	}
	if i != len(s.Events) {
		v.t.Errorf("room %s: event %d came twice, or out of its place", room, s.Events[i].Seq)
	}
	if absent != s.Missed {
		v.t.Errorf("room %s: %d events did not come, and the hub told of %d", room, absent, s.Missed)
	}
}

func sameJSON(a, b json.RawMessage) bool {
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}
