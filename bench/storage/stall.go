//go:build linux

package storage

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/bench/load"
	"github.com/liveim/im/bench/rig"
	"github.com/liveim/im/internal/wire"
	"github.com/liveim/im/storage/filelog"
	"github.com/liveim/im/transport/pipe"
)

const (
	stallViewers = 200
	stallRate    = 50 // danmaku a second
	stallRoom    = "42"
)

// stallPeers are the logs that a room is tried on: a log without a disk shows what the hub takes by itself.
func stallPeers() []Peer { return []Peer{{Name: "filelog"}, {Name: "memory log"}} }

// StallResult is what a room has seen of a disk that stalls.
type StallResult struct {
	P50, P99, Most time.Duration // of danmaku that were sent while it stalled
	CalmP99        time.Duration // of those before and after
	Gift           time.Duration // for which the slowest gift of the host was waited for
	Sent, Missing  int           // danmaku, and deliveries of them
}

func (r StallResult) values() map[string]float64 {
	return map[string]float64{
		"p50, ms": millis(r.P50), "p99, ms": millis(r.P99), "most, ms": millis(r.Most), "p99 without the stall, ms": millis(r.CalmP99),
		"longest gift, ms": millis(r.Gift), "missing": float64(r.Missing),
	}
}

// StallIn returns what starts this program with arguments that have it call StallHere, and reads what it writes.
func StallIn(args func(peer, dir string, around, stalls time.Duration) []string) func(peer, dir string, around, stalls time.Duration) (StallResult, error) {
	return func(peer, dir string, around, stalls time.Duration) (r StallResult, err error) {
		self, err := os.Executable()
		if err != nil {
			return r, err
		}
		cmd := exec.Command(self, args(peer, dir, around, stalls)...)
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if err != nil {
			return r, err
		}
		return r, json.Unmarshal(out, &r)
	}
}

// StallHere runs a room on a log in dir, lets the fsyncs of this process stall, and writes a StallResult.
func StallHere(peer, dir string, around, stalls time.Duration, out io.Writer) error {
	d, err := watchDisk()
	if err != nil {
		return err
	}
	var log im.Log
	switch peer {
	case "filelog":
		l, err := filelog.Open(filepath.Join(dir, "log"), nil)
		if err != nil {
			return err
		}
		defer func() { _ = l.Close() }()
		log = l
	case "memory log":
		if log, err = im.NewMemoryLog(nil); err != nil {
			return err
		}
	default:
		return fmt.Errorf("there is no log %q", peer)
	}
	hub, err := im.New(nobody, &im.Options{
		Log: log, Flow: im.Flow{Budget: -1}, Pressure: func() float64 { return 0 }, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	defer func() { _ = hub.Close() }()
	a := &audience{hub: hub}
	if err := a.join(); err != nil {
		return err
	}
	if err := a.play(d, around, stalls); err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(a.result())
}

// audience are the viewers of a room, who send danmaku in turn.
type audience struct {
	hub     *im.Hub
	peers   []*pipe.Peer
	readers sync.WaitGroup
	sent    int
	came    atomic.Int64
	gift    time.Duration // the longest

	mu        sync.Mutex // protects the fields below
	stalled   [2]time.Time
	calm, bad load.Histogram
	failed    error
}

func (a *audience) join() error {
	for i := range stallViewers {
		conn, peer := pipe.New(&pipe.Options{Buffer: 1 << 20})
		if _, err := a.hub.Attach(conn, im.User{ID: "viewer-" + strconv.Itoa(i)}); err != nil {
			return err
		}
		a.peers = append(a.peers, peer)
		if err := a.say(peer, wire.Request{Op: wire.OpJoin, ID: 1, Room: stallRoom}); err != nil {
			return err
		}
		joined := make(chan struct{})
		a.readers.Go(func() { a.read(peer, joined) })
		<-joined
	}
	return nil
}

func (a *audience) say(p *pipe.Peer, r wire.Request) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return p.Send(context.Background(), b)
}

// read counts what a viewer gets until it hangs up.
func (a *audience) read(p *pipe.Peer, joined chan struct{}) {
	for {
		b, err := p.Recv(context.Background())
		now := time.Now()
		if joined != nil && (err != nil || bytes.Contains(b, []byte(`"op":"joined"`))) {
			close(joined)
			joined = nil
		}
		if err != nil {
			return
		}
		for _, at := range marked(b) {
			a.arrived(at, now)
		}
	}
}

// marked returns when the messages in b were sent.
func marked(b []byte) (all []time.Time) {
	for {
		_, rest, ok := bytes.Cut(b, []byte(rig.Marker))
		if !ok {
			return all
		}
		b = rest
		digits := b[:max(0, bytes.IndexByte(b, ','))]
		if n, err := strconv.ParseInt(string(digits), 10, 64); err == nil {
			all = append(all, time.Unix(0, n))
		}
	}
}

func (a *audience) arrived(sent, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.stalled[0].IsZero() && sent.After(a.stalled[0]) && (a.stalled[1].IsZero() || sent.Before(a.stalled[1])) {
		a.bad.Record(now.Sub(sent))
	} else {
		a.calm.Record(now.Sub(sent))
	}
	a.came.Add(1)
}

// play has viewers send and the host give gifts, with a stall in the middle, and hangs up.
func (a *audience) play(d *disk, around, stalls time.Duration) error {
	ctx, cancel := context.WithCancel(context.Background())
	var senders sync.WaitGroup
	senders.Go(func() { a.danmaku(ctx) })
	senders.Go(func() { a.gifts(ctx) })
	wait(ctx, around)
	end := d.stall()
	a.mark(0)
	wait(ctx, stalls)
	a.mark(1)
	end()
	wait(ctx, around)
	cancel()
	senders.Wait()
	quiet := time.NewTicker(50 * time.Millisecond)
	defer quiet.Stop()
	for i := 0; i < 60 && int(a.came.Load()) < a.sent*stallViewers; i++ {
		<-quiet.C
	}
	for _, p := range a.peers {
		_ = p.Close()
	}
	a.readers.Wait()
	return a.failed
}

func (a *audience) mark(i int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stalled[i] = time.Now()
}

func (a *audience) danmaku(ctx context.Context) {
	tick := time.NewTicker(time.Second / stallRate)
	defer tick.Stop()
	for ctx.Err() == nil {
		body := rig.Message(nil, uint64(a.sent+1), time.Now(), 100)
		r := wire.Request{Op: wire.OpSend, ID: uint64(a.sent + 2), Room: stallRoom, Kind: string(im.Danmaku), CID: "c" + strconv.Itoa(a.sent), Body: body}
		if err := a.say(a.peers[a.sent%len(a.peers)], r); err != nil {
			a.failed = err
			return
		}
		a.sent++
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// gifts are events that wait for the disk.
func (a *audience) gifts(ctx context.Context) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		began := time.Now()
		_, _ = a.hub.Room(stallRoom).Send(context.Background(), im.Gift, "rose") // what counts is how long it takes
		a.gift = max(a.gift, time.Since(began))
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

func (a *audience) result() StallResult {
	return StallResult{
		P50: a.bad.Quantile(0.5), P99: a.bad.Quantile(0.99), Most: a.bad.Quantile(1), CalmP99: a.calm.Quantile(0.99),
		Gift: a.gift, Sent: a.sent, Missing: a.sent*stallViewers - int(a.came.Load()),
	}
}

var errNobody = errors.New("this hub has no clients over HTTP")

func nobody(*http.Request) (im.User, error) { return im.User{}, errNobody }
