package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/internal/wire"
)

// fakeServer hands the test one peer for each connection that a client makes.
type fakeServer struct {
	t     testing.TB
	depth int // messages that a connection holds in each direction

	mu     sync.Mutex
	refuse []error // what the next dials return
	dials  []time.Time
	peers  chan *peer
}

func newFakeServer(t testing.TB) *fakeServer {
	return &fakeServer{t: t, depth: 1024, peers: make(chan *peer, 1024)}
}

func (f *fakeServer) dial(ctx context.Context) (Conn, error) { return f.dialQuery(ctx, "") }

func (f *fakeServer) dialQuery(_ context.Context, query string) (Conn, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dials = append(f.dials, time.Now())
	if len(f.refuse) > 0 {
		err := f.refuse[0]
		f.refuse = f.refuse[1:]
		return nil, err
	}
	p := &peer{t: f.t, query: query, in: make(chan []byte, f.depth), out: make(chan []byte, f.depth), cut: make(chan struct{}), gone: make(chan struct{})}
	f.peers <- p
	return p, nil
}

func (f *fakeServer) refuseNext(errs ...error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refuse = append(f.refuse, errs...)
}

func (f *fakeServer) attempts() []time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]time.Time(nil), f.dials...)
}

// accept waits for the next connection and welcomes it.
func (f *fakeServer) accept() *peer {
	f.t.Helper()
	p := f.next()
	p.send(`{"op":"welcome","sid":"s","user":{"id":"u1","name":"Ann","roles":["host"]},"heartbeat_ms":25000,"protocol":1}`)
	return p
}

func (f *fakeServer) next() *peer {
	f.t.Helper()
	select {
	case p := <-f.peers:
		return p
	case <-time.After(10 * time.Minute):
		f.t.Fatal("the client did not connect")
		return nil
	}
}

// peer is one connection: a Conn for the client, and the other methods for the test.
type peer struct {
	t       testing.TB
	query   string // of the handshake
	in, out chan []byte
	cut     chan struct{} // closed when the server has cut it, out is complete then
	cutOnce sync.Once
	cutErr  error
	gone    chan struct{} // closed when the client has closed it
	once    sync.Once
	pending []wire.Request
}

func (p *peer) Send(ctx context.Context, msg []byte) error {
	select {
	case <-p.gone:
		return io.ErrClosedPipe
	case <-p.cut:
		return io.ErrClosedPipe
	default:
	}
	select {
	case p.in <- append([]byte(nil), msg...):
		return nil
	case <-p.gone:
		return io.ErrClosedPipe
	case <-p.cut:
		return io.ErrClosedPipe
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (p *peer) Recv(ctx context.Context) ([]byte, error) {
	select {
	case msg := <-p.out:
		return msg, nil
	default:
	}
	select {
	case msg := <-p.out:
		return msg, nil
	case <-p.cut:
		select {
		case msg := <-p.out:
			return msg, nil
		default:
			return nil, p.cutErr
		}
	case <-p.gone:
		return nil, io.ErrClosedPipe
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (p *peer) Close() error {
	p.once.Do(func() { close(p.gone) })
	return nil
}

// send sends raw messages, each in a transport message of its own.
func (p *peer) send(msgs ...string) {
	for _, m := range msgs {
		select {
		case p.out <- []byte(m):
		case <-p.gone:
		}
	}
}

func (p *peer) sendf(format string, args ...any) { p.send(fmt.Sprintf(format, args...)) }

// drop cuts the connection after what was sent.
func (p *peer) drop(err error) {
	p.cutOnce.Do(func() {
		p.cutErr = err
		close(p.cut)
	})
}

var errCut = errors.New("connection reset by peer")

// request returns the next request of the client, or false if there is none
// within a while.
func (p *peer) request(wait time.Duration) (wire.Request, bool) {
	if len(p.pending) == 0 && len(p.in) > 0 {
		p.pending = requests(p.t, <-p.in)
	}
	if len(p.pending) == 0 {
		select {
		case msg := <-p.in:
			p.pending = requests(p.t, msg)
		case <-p.gone:
			return wire.Request{}, false
		case <-time.After(wait):
			return wire.Request{}, false
		}
	}
	r := p.pending[0]
	p.pending = p.pending[1:]
	return r, true
}

// expect returns the next request, which must have the operation op.
func (p *peer) expect(op string) wire.Request {
	p.t.Helper()
	r, ok := p.request(10 * time.Minute)
	if !ok {
		p.t.Fatalf("the client sent nothing; want %s", op)
	}
	if r.Op != op {
		p.t.Fatalf("the client sent %+v; want %s", r, op)
	}
	return r
}

// join expects a join and answers it with an empty room at seq 100.
func (p *peer) join() wire.Request {
	p.t.Helper()
	r := p.expect(wire.OpJoin)
	p.sendf(`{"op":"joined","id":%d,"room":%q,"epoch":"e1","seq":100,"state":{},"online":3,"events":[]}`, r.ID, r.Room)
	return r
}

func requests(t testing.TB, msg []byte) []wire.Request {
	t.Helper()
	if len(msg) > maxMessage {
		t.Errorf("the client sent a message of %d bytes", len(msg))
	}
	var many []wire.Request
	var err error
	if msg[0] == '[' {
		err = json.Unmarshal(msg, &many)
	} else {
		many = make([]wire.Request, 1)
		err = json.Unmarshal(msg, &many[0])
	}
	if err != nil || len(many) == 0 || len(many) > maxBatch {
		t.Errorf("the client sent %.200s: %d requests, %v", msg, len(many), err)
	}
	return many
}

// eventsMsg is an "events" message with one chat event per seq.
func eventsMsg(room string, prev uint64, seqs ...uint64) string {
	m := wire.Message{Op: wire.OpEvents, Room: room, Prev: prev, To: seqs[len(seqs)-1]}
	for _, s := range seqs {
		m.Events = append(m.Events, chatEvent(s))
	}
	b, _ := json.Marshal(m)
	return string(b)
}

func chatEvent(seq uint64) wire.Event {
	return wire.Event{
		Seq: seq, ID: fmt.Sprint("ev", seq), Kind: string(im.Chat), At: 1764000000000,
		From: &wire.Author{ID: "u2", Name: "Bob"}, Body: json.RawMessage(fmt.Sprintf(`{"n":%d}`, seq)),
	}
}

// dialFake connects a client to the server, which must not have other clients.
func dialFake(t testing.TB, f *fakeServer, opt Options) (*Client, *peer) {
	t.Helper()
	opt.Dial = f.dial
	accepted := make(chan *peer, 1)
	go func() {
		p := f.next()
		if opt.Token != nil {
			p.expect(wire.OpHello)
		}
		p.send(`{"op":"welcome","sid":"s","user":{"id":"u1","name":"Ann","roles":["host"]},"heartbeat_ms":25000,"protocol":1}`)
		accepted <- p
	}()
	c, err := Dial(t.Context(), "", &opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, <-accepted
}

// joinFake joins a room at seq 100 of epoch e1 and takes the Reset.
func joinFake(t testing.TB, c *Client, p *peer, room string, opt *JoinOptions) *Room {
	t.Helper()
	go p.join()
	r, err := c.Join(t.Context(), room, opt)
	if err != nil {
		t.Fatal(err)
	}
	if opt == nil || !opt.NoUpdates {
		next[Reset](t, r)
	}
	return r
}

// next takes the next update, which must be a T.
func next[T Update](t testing.TB, r *Room) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	u, err := r.Next(ctx)
	if err != nil {
		t.Fatalf("no update: %v", err)
	}
	got, ok := u.(T)
	if !ok {
		var want T
		t.Fatalf("update is %#v; want a %T", u, want)
	}
	return got
}

// going starts fn and returns a function that waits for its result.
func going[T any](fn func() (T, error)) func() (T, error) {
	type result struct {
		v   T
		err error
	}
	ch := make(chan result, 1)
	go func() {
		v, err := fn()
		ch <- result{v, err}
	}()
	return func() (T, error) {
		r := <-ch
		return r.v, r.err
	}
}
