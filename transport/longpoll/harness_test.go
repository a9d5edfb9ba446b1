package longpoll_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/liveim/im/transport"
	"github.com/liveim/im/transport/longpoll"
	"github.com/liveim/im/transport/transporttest"
)

// linger is short, so that clients which never ask do not hold the tests up.
const linger = 50 * time.Millisecond

// server finds Conns by the path of the request.
type server struct {
	*httptest.Server
	options *longpoll.Options

	mu    sync.Mutex // guards conns
	conns map[string]*longpoll.Conn
}

func newServer(t testing.TB, o *longpoll.Options, http2 bool, config func(*http.Server)) *server {
	s := &server{options: o, conns: map[string]*longpoll.Conn{}}
	s.Server = httptest.NewUnstartedServer(s)
	if config != nil {
		config(s.Config)
	}
	if s.EnableHTTP2 = http2; http2 {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	conn := s.conns[r.URL.Path]
	s.mu.Unlock()
	serve(conn, w, r)
}

func serve(conn *longpoll.Conn, w http.ResponseWriter, r *http.Request) {
	wait, err := time.ParseDuration(r.URL.RawQuery)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if err := conn.ServePoll(w, r, wait); err != nil {
		http.Error(w, err.Error(), http.StatusGone)
	}
}

// add makes a Conn and returns its address.
func (s *server) add() (*longpoll.Conn, string) {
	conn := longpoll.New(s.options)
	s.mu.Lock()
	defer s.mu.Unlock()
	path := fmt.Sprintf("/%d", len(s.conns))
	s.conns[path] = conn
	return conn, s.URL + path
}

// Open makes a client that asks over the network.
func (s *server) Open(t testing.TB) (transport.Conn, transporttest.Peer) {
	conn, url := s.add()
	return conn, newPeer(t, conn, func(ctx context.Context) (int, []byte, error) {
		return get(ctx, s.Client(), url+"?1s")
	})
}

func get(ctx context.Context, client *http.Client, url string) (int, []byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, nil, err
	}
	resp, err := client.Do(r)
	if err != nil {
		return 0, nil, err
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	return resp.StatusCode, body, err
}

// memory is a harness without a network, for bubbles of synctest.
type memory struct{ options *longpoll.Options }

func (h memory) Open(t testing.TB) (transport.Conn, transporttest.Peer) {
	conn := longpoll.New(h.options)
	return conn, newPeer(t, conn, func(ctx context.Context) (int, []byte, error) {
		w := ask(ctx, conn, time.Second)
		return w.Code, w.Body.Bytes(), ctx.Err()
	})
}

// ask makes one request without a network.
func ask(ctx context.Context, conn *longpoll.Conn, wait time.Duration) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	serve(conn, w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/?"+wait.String(), nil))
	return w
}

// peer is a client that asks again when it has used up what it got. It does not
// read on before, as a transport's peer that does not read.
type peer struct {
	conn    *longpoll.Conn
	ask     func(context.Context) (int, []byte, error)
	ctx     context.Context
	cancel  context.CancelFunc
	answers chan []json.RawMessage
	wanted  chan struct{} // one token for each answer that is used up
	left    []json.RawMessage
	sweeps  sync.WaitGroup
}

func newPeer(t testing.TB, conn *longpoll.Conn, ask func(context.Context) (int, []byte, error)) *peer {
	ctx, cancel := context.WithCancel(context.Background())
	p := &peer{
		conn: conn, ask: ask, ctx: ctx, cancel: cancel,
		answers: make(chan []json.RawMessage, 1),
		wanted:  make(chan struct{}, 1),
	}
	t.Cleanup(p.sweeps.Wait)
	t.Cleanup(cancel)
	p.wanted <- struct{}{}
	go p.run(t)
	await(t, conn.Waits)
	return p
}

// run asks. It ends with the Conn, or when the peer closes or stalls.
func (p *peer) run(t testing.TB) {
	defer close(p.answers)
	for {
		select {
		case <-p.wanted:
		case <-p.ctx.Done():
			return
		}
		var answer []json.RawMessage
		for len(answer) == 0 {
			status, body, err := p.ask(p.ctx)
			if err != nil || status == http.StatusGone {
				return
			}
			if err := json.Unmarshal(body, &answer); err != nil || status != http.StatusOK {
				t.Errorf("status %d, answer %.60q: %v", status, body, err)
				return
			}
		}
		p.answers <- answer
	}
}

func (p *peer) Send(msg []byte) error { return p.conn.Receive(msg) }

func (p *peer) Recv() ([]byte, error) {
	if len(p.left) == 0 {
		answer, ok := <-p.answers
		if !ok {
			return nil, io.EOF
		}
		p.left = answer
	}
	msg := p.left[0]
	if p.left = p.left[1:]; len(p.left) == 0 {
		p.wanted <- struct{}{}
	}
	return msg, nil
}

// Close goes away, which the hub's sweep finds out.
func (p *peer) Close() error {
	p.cancel()
	p.sweeps.Go(func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for !p.conn.Ended() {
			p.conn.Overdue((<-tick.C).Add(time.Hour))
		}
	})
	return nil
}

func (p *peer) Stall() error {
	p.cancel()
	return nil
}

func (p *peer) Limit() time.Duration { return 10 * time.Second }

// await waits for what has to become true.
func await(t testing.TB, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range 10_000 {
		if condition() {
			return
		}
		<-tick.C
	}
	t.Fatal("waited 10 s for what has to happen")
}

// array is messages as an answer holds them.
func array(messages ...string) string { return "[" + strings.Join(messages, ",\n") + "]" }
