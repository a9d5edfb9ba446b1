//go:build linux

package compare

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/liveim/im/bench/host"
	"github.com/liveim/im/bench/load"
	impeer "github.com/liveim/im/bench/peers/im"
	"github.com/liveim/im/bench/peers/writeloop"
	"github.com/liveim/im/bench/report"
	"github.com/liveim/im/bench/rig"
)

// inside is a server in the process of the test.
type inside struct {
	*host.Control
	ended chan error
}

func launchInside(p rig.Peer, setup rig.Setup, _ int) (Server, error) {
	in, commands := io.Pipe()
	replies, out := io.Pipe()
	s := &inside{host.Connect(commands, replies), make(chan error, 1)}
	go func() {
		s.ended <- host.Run(p, setup, in, out)
		_ = out.Close()
	}()
	return s, nil
}

func (s *inside) Close() error { return errors.Join(s.Control.Close(), <-s.ended) }

// mini makes a scenario one that a test has time for.
func mini(s Scenario) Scenario {
	s.Clients, s.Rooms, s.Rate = 20, min(s.Rooms, 5), min(s.Rate, 100)
	s.Settle, s.Warm, s.For = 50*time.Millisecond, 100*time.Millisecond, 500*time.Millisecond
	s.Pinned = false
	return s
}

func TestNothingIsLostInAnyScenario(t *testing.T) {
	names := map[string]bool{"storm": true, "saturation": true, "rooms": true, "deflate-storm": true, "idle": true, "joins": true, "sse": true, "poll": true, "publish100": true}
	for _, s := range Scenarios(true) {
		if !names[s.Name] {
			continue
		}
		delete(names, s.Name)
		s = mini(s)
		for _, p := range append(impeer.Peers(), writeloop.Peer()) {
			if !s.fits(&p) {
				continue
			}
			t.Run(s.Name+"/"+p.Name, func(t *testing.T) {
				t.Parallel() // most of it is waiting
				r, err := Do(s, p, launchInside)
				if err != nil {
					t.Fatal(err)
				}
				t.Log(r.Line())
				checkRun(t, s, p, r)
			})
		}
	}
	if len(names) > 0 {
		t.Errorf("there are no scenarios %v", names)
	}
}

func checkRun(t *testing.T, s Scenario, p rig.Peer, r report.Run) {
	if p.Sheds {
		r.Missing, r.Disordered = 0, 0
	}
	if r.Missing+r.Surplus+r.Doubles+r.Disordered > 0 || r.Gone+r.Plain > 0 {
		t.Errorf("something is wrong: %+v", r)
	}
	if r.JoinTime == 0 {
		t.Error("joining took no time")
	}
	switch s.Kind {
	case report.Rate:
		if want := uint64(float64(s.Rooms)*s.Rate*s.For.Seconds()) * uint64(s.Clients/s.Rooms); r.Deliveries != want && !p.Sheds || r.Deliveries == 0 {
			t.Errorf("%d deliveries, want %d", r.Deliveries, want)
		}
	case report.Saturation, report.Publishes:
		if r.Deliveries == 0 || r.Published == 0 {
			t.Errorf("nothing was delivered: %+v", r)
		}
	default:
		return
	}
	// Where messages travel alone they cannot be smaller than they are.
	if each := r.Bytes / r.Deliveries; each < uint64(s.Size) && !s.Deflate || r.P50 <= 0 || r.P999 < r.P50 || r.User+r.System == 0 {
		t.Errorf("that cannot be: %d bytes for each delivery, %+v", each, r)
	}
}

// deaf is a server that loses messages.
type deaf struct {
	rig.Server
	n int
}

func (d *deaf) Publish(room int, message []byte) error {
	if d.n++; d.n%10 == 0 {
		return nil
	}
	if err := d.Server.Publish(room, message); err != nil || d.n%10 != 1 {
		return err
	}
	return d.Server.Publish(room, message)
}

func TestLossAndDoublesAreSeen(t *testing.T) {
	p := writeloop.Peer()
	inner := p.New
	p.New = func(s rig.Setup) (rig.Server, error) {
		server, err := inner(s)
		return &deaf{Server: server}, err
	}
	s := mini(Scenarios(true)[0])
	s.Rate = 100
	r, err := Do(s, p, launchInside)
	if err != nil {
		t.Fatal(err)
	}
	if r.Doubles == 0 { // as many are missing as there are too many
		t.Errorf("a server that repeats and loses messages: %+v", r)
	}
	p.New = func(s rig.Setup) (rig.Server, error) {
		server, err := inner(s)
		return &loser{Server: server}, err
	}
	if r, err = Do(s, p, launchInside); err != nil || r.Missing != 20 {
		t.Errorf("a server that loses one message of 20 viewers: %d missing, %v", r.Missing, err)
	}
}

type loser struct {
	rig.Server
	n int
}

func (l *loser) Publish(room int, message []byte) error {
	if l.n++; l.n == 30 {
		return nil
	}
	return l.Server.Publish(room, message)
}

func TestRefusedClientsAreAnError(t *testing.T) {
	p := impeer.Peers()[0]
	p.Dialect.Path = func(int) string { return "/nowhere" }
	if _, err := Do(mini(Scenarios(true)[0]), p, launchInside); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("clients that knock at the wrong door: %v", err)
	}
}

func TestRoundsAreInterleaved(t *testing.T) {
	s := mini(Scenarios(true)[0])
	s.Kind, s.Way = report.Joins, load.WebSocket
	var order []string
	im := impeer.Peers()[0]
	err := All([]Scenario{s}, []rig.Peer{writeloop.Peer(), im}, 2, launchInside, func(r report.Run) error {
		if r.Error != "" {
			t.Error(r.Error)
		}
		order = append(order, r.Peer)
		return nil
	})
	if want := []string{"write loop", im.Name, "write loop", im.Name}; err != nil || !slices.Equal(order, want) {
		t.Errorf("the order is %q, %v; want %q", order, err, want)
	}
}
