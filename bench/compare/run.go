//go:build linux

package compare

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/liveim/im/bench/host"
	"github.com/liveim/im/bench/load"
	"github.com/liveim/im/bench/report"
	"github.com/liveim/im/bench/rig"
)

// Launch starts a server for a peer, bound to a processor unless core is -1.
type Launch func(p rig.Peer, setup rig.Setup, core int) (Server, error)

// Server is a server that obeys; [host.Process] is one.
type Server interface {
	Send(host.Command) error
	Reply() (_ host.Reply, ok bool, err error)
	Wait(limit time.Duration) (host.Reply, error)
	io.Closer
}

// run is one scenario with one peer.
type run struct {
	Scenario
	peer   rig.Peer
	server Server
	swarm  *load.Swarm
	res    report.Run
	closed bool // the server publishes as fast as its clients get it
}

// patience is how long all of something may take that takes a few seconds.
const patience = 60 * time.Second

// Do runs a scenario with a peer once.
func Do(s Scenario, p rig.Peer, launch Launch) (res report.Run, err error) {
	r := &run{Scenario: s, peer: p}
	r.res = report.Run{Scenario: s.Name, Peer: p.Name, Clients: s.Clients}
	runtime.GC() // what the last run has left is not this one's cost
	core := -1
	if s.Pinned && runtime.NumCPU() > 1 {
		core = 0
	}
	if r.server, err = launch(p, rig.Setup{Rooms: s.Rooms, Deflate: s.Deflate, History: s.History}, core); err != nil {
		return r.res, err
	}
	err = r.measure(core)
	if r.swarm != nil {
		err = errors.Join(err, r.swarm.Close())
	}
	if e := r.server.Close(); err != nil {
		err = errors.Join(err, e) // what it said may say why
	}
	return r.res, err
}

func (r *run) measure(core int) error {
	ready, err := r.server.Wait(patience)
	if err != nil {
		return err
	}
	r.swarm, err = load.New(load.Options{
		Address: ready.Address, Clients: r.Clients, Rooms: r.Rooms, Dialect: r.peer.Dialect,
		Way: r.Way, Deflate: r.Deflate, Size: r.Size,
	})
	if err != nil {
		return err
	}
	if core >= 0 {
		core = 1
	}
	return host.Pin(core, func() error {
		if err := r.join(); err != nil {
			return err
		}
		switch r.Kind {
		case report.Rate:
			return r.atRate()
		case report.Saturation, report.Publishes:
			return r.saturated()
		}
		return nil
	})
}

// join brings the clients in and measures what they cost while nothing else happens.
func (r *run) join() error {
	before, err := r.call(host.Command{Do: host.Memory})
	if err != nil {
		return err
	}
	sockets, err := socketMemory()
	if err != nil {
		return err
	}
	if r.res.JoinTime, err = r.swarm.Join(patience); err != nil {
		return err
	}
	joined, err := r.call(host.Command{Do: host.Usage})
	if err != nil {
		return err
	}
	r.res.JoinUser, r.res.JoinSys = joined.Used.User-before.Used.User, joined.Used.System-before.Used.System
	if r.Kind == report.Joins {
		r.res.Bytes = r.swarm.Bytes()
		return nil
	}
	// What a room tells of those who came in has been told by then.
	if err := r.pass(r.Settle); err != nil {
		return err
	}
	settled, err := r.call(host.Command{Do: host.Usage})
	if err != nil {
		return err
	}
	if err := r.pass(r.Settle); err != nil {
		return err
	}
	idle, err := r.call(host.Command{Do: host.Usage})
	if err != nil {
		return err
	}
	r.res.IdleCost = time.Duration(float64(idle.Used.User+idle.Used.System-settled.Used.User-settled.Used.System) / idle.Used.At.Sub(settled.Used.At).Seconds())
	if r.Kind != report.Idle {
		return nil
	}
	after, err := r.call(host.Command{Do: host.Memory})
	if err != nil {
		return err
	}
	used, err := socketMemory()
	r.res.Memory, r.res.Sockets = after.Used.RSS-before.Used.RSS, used-sockets
	r.res.Goroutine = after.Used.Goroutines - before.Used.Goroutines
	return err
}

// atRate has the server publish at a rate.
func (r *run) atRate() error {
	if _, err := r.publish(r.Warm); err != nil {
		return err
	}
	m, err := r.mark()
	if err != nil {
		return err
	}
	before := r.swarm.Messages()
	reply, err := r.publish(r.For)
	if err != nil {
		return err
	}
	if err := r.since(m); err != nil {
		return err
	}
	r.res.Late = reply.Late
	r.res.Published = uint64(float64(r.For) / float64(time.Second) * r.Rate * float64(r.Rooms))
	r.loss(reply.Published)
	if r.swarm.Messages() == before {
		return cmp.Or(r.swarm.Totals().Fault, errors.New("nothing that was published has arrived"))
	}
	return nil
}

// publish has the server publish for a time, and waits until it has arrived.
func (r *run) publish(d time.Duration) (host.Reply, error) {
	reply, err := r.call(host.Command{Do: host.Publish, Rate: r.Rate, Size: r.Size, For: d})
	if err != nil {
		return reply, err
	}
	return reply, r.drain(reply.Published)
}

// saturated has the server publish as fast as its clients get it.
func (r *run) saturated() error {
	if _, err := r.call(host.Command{Do: host.Saturate, Size: r.Size, Window: window}); err != nil {
		return err
	}
	r.closed = true
	if err := r.pass(r.Warm); err != nil {
		return err
	}
	m, err := r.mark()
	if err != nil {
		return err
	}
	if err := r.pass(r.For); err != nil {
		return err
	}
	if err := r.since(m); err != nil {
		return err
	}
	stop, err := r.call(host.Command{Do: host.Stop})
	if err != nil {
		return err
	}
	r.closed = false
	if err := r.drain(stop.Published); err != nil {
		return err
	}
	r.loss(stop.Published)
	r.res.Published = r.res.Deliveries / uint64(r.Clients/r.Rooms)
	if r.res.Deliveries == 0 {
		return cmp.Or(r.swarm.Totals().Fault, errors.New("nothing that was published has arrived"))
	}
	return nil
}

// loss compares what was published with what has arrived, from the start on.
func (r *run) loss(published []uint64) {
	r.res.Missing, r.res.Surplus = r.swarm.Missing(published)
	t := r.swarm.Totals()
	r.res.Plain, r.res.Doubles, r.res.Disordered, r.res.Gone = t.Plain, t.Doubles, t.Disordered, t.Gone
}

// marked is where things stood at one moment.
type marked struct {
	used            host.Used
	clients         host.Used // this process
	messages, bytes uint64
}

// mark begins a measurement.
func (r *run) mark() (marked, error) {
	reply, err := r.call(host.Command{Do: host.Usage})
	if err != nil {
		return marked{}, err
	}
	clients, err := host.Measure()
	r.swarm.ResetLatency()
	return marked{reply.Used, clients, r.swarm.Messages(), r.swarm.Bytes()}, err
}

// since ends a measurement and puts it into the result.
func (r *run) since(m marked) error {
	latency := r.swarm.Latency()
	r.res.P50, r.res.P99, r.res.P999 = latency.Quantile(0.5), latency.Quantile(0.99), latency.Quantile(0.999)
	now, err := r.mark()
	if err != nil {
		return err
	}
	r.res.Elapsed = now.used.At.Sub(m.used.At)
	r.res.Deliveries, r.res.Bytes = now.messages-m.messages, now.bytes-m.bytes
	r.res.Clientside = now.clients.User + now.clients.System - m.clients.User - m.clients.System
	r.res.User, r.res.System = now.used.User-m.used.User, now.used.System-m.used.System
	return nil
}

// quiet is how long nothing may arrive before what is missing counts as lost, or as shed.
const (
	quiet     = 2 * time.Second
	shedQuiet = 300 * time.Millisecond
)

// drain waits until all that was published has arrived, or nothing does any more.
func (r *run) drain(published []uint64) error {
	var want uint64
	for i := range r.Clients {
		want += published[i%r.Rooms]
	}
	patience := quiet
	if r.peer.Sheds {
		patience = shedQuiet
	}
	last, at := r.swarm.Messages(), time.Now()
	return r.converse(func() bool {
		if n := r.swarm.Messages(); n != last {
			last, at = n, time.Now()
		}
		return last >= want || time.Since(at) > patience
	})
}

// pass lets the clients read for a time.
func (r *run) pass(d time.Duration) error {
	end := time.Now().Add(d)
	return r.converse(func() bool { return time.Now().After(end) })
}

// call sends a command and lets the clients read until it is answered.
func (r *run) call(c host.Command) (reply host.Reply, err error) {
	if err := r.server.Send(c); err != nil {
		return reply, err
	}
	begun := time.Now()
	var ok bool
	var fault error
	err = r.converse(func() bool {
		reply, ok, fault = r.server.Reply()
		if !ok && fault == nil && time.Since(begun) > patience+30*c.For {
			fault = fmt.Errorf("the server does not answer %q", c.Do)
		}
		return ok || fault != nil
	})
	return reply, cmp.Or(fault, err)
}

// converse lets the clients read until done says so. While the server publishes as fast as
// they get it, it is told how far they are.
func (r *run) converse(done func() bool) error {
	const every = 5 * time.Millisecond
	var told time.Time
	var fault error
	err := r.swarm.Run(every, func() bool {
		if r.closed && time.Since(told) >= every {
			told = time.Now()
			fault = r.server.Send(host.Command{Do: host.Lowest, Lowest: r.swarm.Lowest()})
		}
		return fault != nil || done()
	})
	return cmp.Or(fault, err)
}
