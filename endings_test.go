package im_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest"
	"github.com/liveim/im/transport"
	"github.com/liveim/im/transport/pipe"
)

// A client that asks without reading the answers is cut off, and holds nobody up.
func TestClientThatAsksAndDoesNotRead(t *testing.T) {
	hub := imtest.NewHub(t, &im.Options{Timeouts: im.Timeouts{Write: time.Second}})
	v := hub.ConnectSlow(user("mallory"), 1024)
	go func() {
		for i := range 190 { // long ids are echoed: 190 errors with long reasons
			var frame []byte
			frame = append(frame, '[')
			for j := range 60 {
				if j > 0 {
					frame = append(frame, ',')
				}
				frame = fmt.Appendf(frame, `{"op":"send","id":%d,"room":"nowhere","kind":"chat","body":1}`, i*100+j+1)
			}
			frame = append(frame, ']')
			if v.Raw(string(frame)) != nil {
				return
			}
		}
	}()
	deadline := time.Now().Add(6 * time.Second)
	for hub.Stats().Sessions > 0 && time.Now().Before(deadline) {
		pass(50 * time.Millisecond)
	}
	if hub.Stats().Sessions > 0 {
		t.Errorf("session still there 6 s after Write timeout of 1 s")
	}
	done := make(chan bool)
	go func() { hub.Close(); close(done) }()
	select {
	case <-done:
	case <-time.After(3 * time.Second):
		t.Errorf("Close hangs")
		panic("Close hangs")
	}
}

// The same over a real socket, whose client then resets the connection.
func TestClientThatAsksAndResets(t *testing.T) {
	hub, _ := im.New(imtest.BearerUser, &im.Options{Timeouts: im.Timeouts{Write: time.Second}})
	srv := httptest.NewServer(hub)
	t.Cleanup(srv.Close)
	c, err := net.Dial("tcp", strings.TrimPrefix(srv.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	c.(*net.TCPConn).SetReadBuffer(4096)
	fmt.Fprintf(c, "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer m\r\n\r\n")
	var b []byte
	b = append(b, '[')
	for j := range 60 {
		if j > 0 {
			b = append(b, ',')
		}
		b = fmt.Appendf(b, `{"op":"send","id":%d,"room":"nowhere","kind":"chat","body":1}`, j+1)
	}
	b = append(b, ']')
	frame := []byte{0x81, 0x80 | 126, byte(len(b) >> 8), byte(len(b)), 0, 0, 0, 0}
	frame = append(frame, b...)
	c.SetWriteDeadline(time.Now().Add(3 * time.Second))
	for {
		if _, err := c.Write(frame); err != nil {
			break
		}
	}
	c.(*net.TCPConn).SetLinger(0)
	c.Close()
	deadline := time.Now().Add(8 * time.Second)
	for hub.Stats().Sessions > 0 && time.Now().Before(deadline) {
		pass(50 * time.Millisecond)
	}
	if hub.Stats().Sessions > 0 {
		t.Errorf("session leaked after its connection was reset")
	}
	done := make(chan bool)
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	go func() { hub.Shutdown(ctx); close(done) }()
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		t.Fatal("Shutdown(ctx of 1 s) hangs")
	}
}

// A client that joins again with a position from the future is kicked all the same.
func TestKickHoldsAgainstAJoinUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := imtest.NewHub(t, nil)
		v := hub.Join("42", user("troll"))
		epoch := v.Position("42").Epoch
		go v.Raw(fmt.Sprintf(`{"op":"join","id":77,"room":"42","since":{"epoch":%q,"seq":9000000}}`, epoch))
		pass(100 * time.Millisecond)
		if err := hub.Room("42").Kick(t.Context(), "troll", "out"); err != nil {
			t.Fatal(err)
		}
		pass(5 * time.Second)
		if n := hub.Room("42").Len(); n != 0 {
			t.Errorf("Kick returned nil, the troll is still in: Len %d, rooms %v", n, v.Session.Rooms())
		}
	})
}

// Kick has been obeyed when it returns.
func TestKickHasHappenedWhenItReturns(t *testing.T) {
	hub := imtest.NewHub(t, nil)
	early := 0
	for i := range 200 {
		room := fmt.Sprint("r", i)
		v := hub.Connect(user("ann"))
		v.Join(room, nil)
		pass(25 * time.Millisecond) // so that the kick flushes at once
		if err := hub.Room(room).Kick(t.Context(), "ann", ""); err != nil {
			t.Fatal(err)
		}
		if hub.Room(room).Len() != 0 {
			early++
		}
		v.Close()
	}
	if early > 0 {
		t.Errorf("%d of 200 kicks had not been obeyed when Kick returned", early)
	}
}

// A session that was closed, and does not read, has no say any more.
func TestClosedSessionsDoNothingMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := imtest.NewHub(t, nil)
		v := hub.ConnectSlow(user("troll"), 600)
		v.Join("42", nil)
		for range 60 { // fill its buffer
			if _, err := hub.Room("42").Send(t.Context(), im.Notice, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"); err != nil {
				t.Fatal(err)
			}
		}
		pass(time.Second)
		v.Session.Close(&im.Error{Code: im.CodeKicked})
		pass(15 * time.Second)
		before := hub.Stats().Accepted
		v.Raw(`{"op":"send","id":5,"room":"42","kind":"chat","body":"still here"}`)
		if n := hub.Stats().Accepted - before; n > 0 {
			t.Errorf("15 s after Session.Close its chat message was accepted (%d)", n)
		}
		if _, err := hub.Room("42").Send(t.Context(), im.Notice, 1); err != nil {
			t.Fatal(err)
		}
	})
}

// A bad hello ends the connection, the rest of its message included.
func TestOneTokenAConnection(t *testing.T) {
	tries := 0
	hub, _ := im.New(func(r *http.Request) (im.User, error) {
		a := r.Header.Get("Authorization")
		if a == "" {
			return im.User{}, im.ErrNoCredentials
		}
		tries++
		if a == "Bearer t40" {
			return im.User{ID: "admin"}, nil
		}
		return im.User{}, &im.Error{Code: im.CodeUnauthorized}
	}, nil)
	defer hub.Close()
	// Attach needs a user, so this goes over a real socket.
	var b []string
	for i := range 60 {
		b = append(b, fmt.Sprintf(`{"op":"hello","id":%d,"token":"t%d"}`, i+1, i))
	}
	b = append(b, `{"op":"join","id":99,"room":"42"}`, `{"op":"send","id":100,"room":"42","kind":"chat","body":"I am admin"}`)
	wsSend(t, hub, "["+strings.Join(b, ",")+"]")
	deadline := time.Now().Add(3 * time.Second)
	for hub.Stats().Accepted == 0 && time.Now().Before(deadline) {
		pass(10 * time.Millisecond)
	}
	if tries > 1 || hub.Stats().Accepted > 0 {
		t.Errorf("%d tokens were tried on one connection; accepted events of the guessed user: %d", tries, hub.Stats().Accepted)
	}
}

// One send of likes adds no more than the limit allows at once.
func TestLikesCountAgainstTheirLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := imtest.NewHub(t, nil)
		v := hub.Join("42", user("ann"))
		if _, err := v.Send(im.Like, map[string]int{"n": 100}); err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		all, _ := hub.Room("42").State().All(t.Context())
		if string(all["im.total.like"]) != "20" {
			t.Errorf("one send of a user whose limit is 20 likes in 1 s added %s", all["im.total.like"])
		}
	})
}

// A retry through an interceptor that adds something gets the first answer.
func TestRuling5RetryThroughAnInterceptorThatChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, signals := 0, 0
		hub := imtest.NewHub(t, &im.Options{
			Observe: func(s im.Signal) {
				if s.Type == im.SignalAccepted {
					signals++
				}
			},
			Intercept: []im.Middleware{func(next im.SendFunc) im.SendFunc {
				return func(ctx context.Context, d *im.Draft) (im.Receipt, error) {
					n++
					d.Body = json.RawMessage(fmt.Sprintf(`{"text":%s,"level":%d}`, d.Body, n))
					return next(ctx, d)
				}
			}}})
		v := hub.Join("42", user("ann"))
		if _, err := v.SendTo("42", im.Chat, "c1", "hello"); err != nil {
			t.Fatal(err)
		}
		if r, err := v.SendTo("42", im.Chat, "c1", "hello"); err != nil {
			t.Errorf("the same client sends the same content under the same cid: %+v, %v", r, err)
		}
	})
}

// A retry is not observed as another accepted event.
func TestRetriesAreNotObservedAsAccepted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		signals := 0
		hub := imtest.NewHub(t, &im.Options{
			Observe: func(s im.Signal) {
				if s.Type == im.SignalAccepted {
					signals++
				}
			}})
		v := hub.Join("42", user("ann"))
		v.SendTo("42", im.Chat, "c1", "hello")
		v.SendTo("42", im.Chat, "c1", "hello")
		if signals != 1 {
			t.Errorf("%d SignalAccepted for one event", signals)
		}
	})
}

// History does not show what this node has not folded yet.
func TestRuling7HistoryHidesWhatLostAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newFlaky(t, nil)
		hub := imtest.NewHub(t, &im.Options{Log: log})
		room := hub.Room("42")
		if _, err := room.Set(t.Context(), "k", 1); err != nil {
			t.Fatal(err)
		}
		for i := range 2 {
			log.MemoryLog.Append(t.Context(), "42", []*im.Event{{ID: fmt.Sprint("x", i), Kind: im.State, Class: im.Critical, Body: []byte(`{"key":"k","value":666,"if":999}`)}})
		}
		p, err := room.History(t.Context(), im.HistoryQuery{})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range p.Events {
			if strings.Contains(string(e.Body), "666") {
				t.Errorf("history shows %s, which had no effect", e.Body)
			}
		}
	})
}

// The newest events that a joining viewer gets are not all likes.
func TestLikesDoNotCrowdOutChat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := imtest.NewHub(t, nil)
		room := hub.Room("42")
		var since im.Position
		for i := range 20 {
			e, err := room.Send(t.Context(), im.Notice, i)
			if err != nil {
				t.Fatal(err)
			}
			since = e.Pos
		}
		for range 1200 { // 4 minutes of likes
			room.Add(t.Context(), im.Like, 1)
			pass(200 * time.Millisecond)
		}
		e := hub.Connect(user("ann")).Join("42", nil)
		likes := 0
		for _, ev := range e.Events {
			if ev.Kind == im.Like {
				likes++
			}
		}
		if likes == len(e.Events) {
			t.Errorf("the newest %d events that a joining viewer gets are all likes; none of 20 notices", likes)
		}
		e = hub.Connect(user("bob")).Join("42", &imtest.JoinOptions{Since: since})
		if !e.Recovered {
			t.Errorf("a viewer who was away for 4 minutes and missed nothing but likes is not recovered")
		}
	})
}

// The hub keeps to the contract of transport.Conn.
func TestNothingIsSentBeforeStart(t *testing.T) {
	hub := imtest.NewHub(t, nil)
	c, p := pipe.New(nil)
	hub.Attach(&early{Conn: c, t: t}, user("ann"))
	p.Close()
}

// F13: an observer that ends its goroutine.
func TestF13ObserverExits(t *testing.T) {
	for _, typ := range []im.SignalType{im.SignalSessionClosed, im.SignalLeft, im.SignalSessionOpened} {
		t.Run(typ.String(), func(t *testing.T) {
			var armed atomic.Bool
			hub, _ := im.New(imtest.BearerUser, &im.Options{Observe: func(s im.Signal) {
				if armed.Load() && s.Type == typ {
					runtime.Goexit()
				}
			}})
			conn, peer := pipe.New(nil)
			done := make(chan bool)
			go func() {
				defer close(done)
				armed.Store(typ == im.SignalSessionOpened)
				if _, err := hub.Attach(conn, user("ann")); err != nil {
					t.Error(err)
				}
			}()
			<-done
			peer.Send(t.Context(), []byte(`{"op":"join","id":1,"room":"42"}`))
			armed.Store(true)
			peer.Close()
			end := make(chan bool)
			go func() { hub.Close(); close(end) }()
			select {
			case <-end:
				if n := hub.Stats(); n.Sessions+n.Users > 0 {
					t.Errorf("ghosts: %+v", n)
				}
			case <-time.After(3 * time.Second):
				t.Error("Close hangs for ever")
			}
		})
	}
}

func TestF13ObserverExitsWhileARoomCloses(t *testing.T) {
	armed := false
	hub := imtest.NewHub(t, &im.Options{Observe: func(s im.Signal) {
		if armed && s.Type == im.SignalLeft {
			armed = false
			runtime.Goexit()
		}
	}})
	hub.Crowd("42", 10)
	pass(50 * time.Millisecond)
	armed = true
	done := make(chan bool)
	go func() { defer close(done); hub.Room("42").Close(context.Background(), "over") }()
	<-done
	pass(time.Second)
	if n := hub.Room("42").Len(); n > 0 {
		t.Errorf("the room is closed, %d of 10 members are still in it", n)
	}
}

// early notes what is sent before Start.
type early struct {
	*pipe.Conn
	started atomic.Bool
	t       *testing.T
}

func (e *early) Start(s transport.Session) { e.started.Store(true); e.Conn.Start(s) }
func (e *early) TrySend(b [][]byte) (int, error) {
	if !e.started.Load() {
		e.t.Error("TrySend before Start, which the contract of transport.Conn excludes")
	}
	return e.Conn.TrySend(b)
}

// wsSend opens a WebSocket and says one message, unmasked by a key of zeros.
func wsSend(t *testing.T, hub *im.Hub, msg string) net.Conn {
	srv := httptest.NewServer(hub)
	t.Cleanup(srv.Close)
	c, err := net.Dial("tcp", strings.TrimPrefix(srv.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(c, "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	b := []byte(msg)
	frame := []byte{0x81, 0x80 | 126, byte(len(b) >> 8), byte(len(b)), 0, 0, 0, 0}
	if _, err := c.Write(append(frame, b...)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}
