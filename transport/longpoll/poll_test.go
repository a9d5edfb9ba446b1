package longpoll_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/liveim/im/transport"
	"github.com/liveim/im/transport/longpoll"
)

// session is the plainest hub: it keeps what does not fit.
type session struct {
	conn     *longpoll.Conn
	writable chan struct{}
	closed   chan error
}

var _ transport.Session = (*session)(nil)

func start(conn *longpoll.Conn) *session {
	s := &session{conn: conn, writable: make(chan struct{}, 16), closed: make(chan error, 2)}
	conn.Start(s)
	return s
}

func (s *session) Receive([]byte) error { return nil }
func (s *session) Fail(int, string)     {}
func (s *session) Control([]byte)       {}
func (s *session) Alive()               {}
func (s *session) Writable()            { s.writable <- struct{}{} }
func (s *session) Closed(err error)     { s.closed <- err }

// send reports whether a message was taken.
func (s *session) send(t testing.TB, message string) bool {
	t.Helper()
	wire := s.conn.Shared().Append(nil, []byte(message))
	n, err := s.conn.TrySend([][]byte{wire})
	if err != nil || n != 0 && n != len(wire) {
		t.Fatalf("TrySend = %d of %d, %v", n, len(wire), err)
	}
	return n > 0
}

// answerOf is what came of a request, and when.
type answerOf struct {
	body  string
	after time.Duration
}

// bubble runs f with a Conn, and a function that makes a request of one minute
// which waits when it returns.
func bubble(t *testing.T, f func(t *testing.T, s *session, request func(ctx context.Context) <-chan answerOf)) {
	synctest.Test(t, func(t *testing.T) {
		s := start(longpoll.New(nil))
		f(t, s, func(ctx context.Context) <-chan answerOf {
			answered := make(chan answerOf, 1)
			began := time.Now()
			go func() {
				w := ask(ctx, s.conn, time.Minute)
				answered <- answerOf{w.Body.String(), time.Since(began)}
			}()
			synctest.Wait()
			return answered
		})
		s.conn.Abort()
		synctest.Wait()
		if len(s.closed) != 1 {
			t.Errorf("Closed was called %d times", len(s.closed))
		}
	})
}

func TestAnswerGathersABurst(t *testing.T) {
	bubble(t, func(t *testing.T, s *session, request func(context.Context) <-chan answerOf) {
		answered := request(t.Context())
		<-time.After(time.Second)
		s.send(t, "1")
		<-time.After(3 * time.Millisecond)
		s.send(t, "2")
		if got, want := <-answered, (answerOf{array("1", "2"), time.Second + 5*time.Millisecond}); got != want {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

func TestAnswerIsEmptyAfterTheWait(t *testing.T) {
	bubble(t, func(t *testing.T, _ *session, request func(context.Context) <-chan answerOf) {
		if got, want := <-request(t.Context()), (answerOf{"[]", time.Minute}); got != want {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

func TestLargeAnswerDoesNotWait(t *testing.T) {
	bubble(t, func(t *testing.T, s *session, request func(context.Context) <-chan answerOf) {
		big := `"` + strings.Repeat("x", 30<<10) + `"`
		answered := request(t.Context())
		for i := range 3 {
			if taken := s.send(t, big); taken != (i < 2) {
				t.Errorf("64 KiB take two messages of 30 KiB, and not three: message %d was taken: %v", i, taken)
			}
		}
		if got := <-answered; got != (answerOf{array(big, big), 0}) {
			t.Errorf("got %d bytes after %v", len(got.body), got.after)
		}
		if len(s.writable) > 0 {
			t.Error("Writable was called although no request waits")
		}
		answered = request(t.Context())
		<-s.writable
		huge := `"` + strings.Repeat("x", 200<<10) + `"`
		if !s.send(t, huge) {
			t.Error("a message above the limit has to go alone")
		}
		if got := <-answered; got != (answerOf{array(huge), 0}) {
			t.Errorf("got %d bytes after %v", len(got.body), got.after)
		}
	})
}

func TestOfTwoRequestsTheFirstIsAnswered(t *testing.T) {
	bubble(t, func(t *testing.T, s *session, request func(context.Context) <-chan answerOf) {
		first := request(t.Context())
		second := request(t.Context())
		if got := <-first; got != (answerOf{"[]", 0}) {
			t.Errorf("the first request got %v", got)
		}
		s.send(t, "1")
		third := request(t.Context())
		if got := <-second; got.body != "[]" {
			t.Errorf("the second request got %v; what it had gathered is not its own", got)
		}
		s.send(t, "2")
		if got := <-third; got.body != array("2") {
			t.Errorf("the third request got %v", got)
		}
	})
}

func TestInterruptHoldsStill(t *testing.T) {
	bubble(t, func(t *testing.T, s *session, request func(context.Context) <-chan answerOf) {
		s.conn.Interrupt()
		first := request(t.Context())
		s.conn.Interrupt()
		if got := <-first; got != (answerOf{"[]", 0}) {
			t.Errorf("the request got %v", got)
		}
		if s.send(t, "1") {
			t.Error("a message was taken although no request waits")
		}
		second := request(t.Context())
		<-s.writable
		s.send(t, "1")
		if got := <-second; got.body != array("1") {
			t.Errorf("the next request got %v", got)
		}
	})
}

func TestGoneClientIsNotSentTo(t *testing.T) {
	bubble(t, func(t *testing.T, s *session, request func(context.Context) <-chan answerOf) {
		ctx, cancel := context.WithCancel(t.Context())
		gone := request(ctx)
		s.send(t, "1")
		cancel()
		if got := <-gone; got.body != "" {
			t.Errorf("the answer %v was written to nobody", got)
		}
		if s.send(t, "2") {
			t.Error("a message was taken although no request waits")
		}
		answered := request(t.Context())
		<-s.writable
		s.send(t, "2")
		if got := <-answered; got.body != array("2") {
			t.Errorf("got %v; the first message was lost with its request", got)
		}
	})
}

func TestFinishAnswersWithTheRest(t *testing.T) {
	bubble(t, func(t *testing.T, s *session, request func(context.Context) <-chan answerOf) {
		answered := request(t.Context())
		s.send(t, `{"op":"bye"}`)
		s.conn.Finish()
		if got := <-answered; got != (answerOf{array(`{"op":"bye"}`), 0}) {
			t.Errorf("got %v", got)
		}
		synctest.Wait()
		if err := <-s.closed; err != nil {
			t.Errorf("Closed(%v)", err)
		}
		if err := s.conn.ServePoll(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil), 0); !errors.Is(err, net.ErrClosed) {
			t.Errorf("ServePoll after the end = %v", err)
		}
		s.closed <- nil // for the count
	})
}

func TestFinishBetweenRequests(t *testing.T) {
	for name, tt := range map[string]struct {
		short, asks bool
		ok          bool
		after       time.Duration
	}{
		"nothing is owed": {ok: true},
		"asks in time":    {short: true, asks: true, ok: true},
		"stays away":      {short: true, after: 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := start(longpoll.New(nil))
				if tt.short && s.send(t, "1") {
					t.Error("a message was taken although no request waits")
				}
				began := time.Now()
				s.conn.Finish()
				s.conn.Finish()
				if tt.asks {
					if w := ask(t.Context(), s.conn, time.Minute); w.Body.String() != "[]" {
						t.Errorf("the last answer is %q", w.Body)
					}
				}
				if err := <-s.closed; (err == nil) != tt.ok || time.Since(began) != tt.after {
					t.Errorf("Closed(%v) after %v", err, time.Since(began))
				}
			})
		})
	}
}

func TestClientThatStaysAwayIsOverdue(t *testing.T) {
	bubble(t, func(t *testing.T, s *session, request func(context.Context) <-chan answerOf) {
		overdue := func() bool { return s.conn.Overdue(time.Now()) }
		<-time.After(9 * time.Second)
		answered := request(t.Context())
		<-time.After(59 * time.Second)
		if overdue() {
			t.Error("overdue although a request waits")
		}
		<-answered
		<-time.After(10 * time.Second)
		if overdue() {
			t.Error("overdue before the limit")
		}
		<-time.After(1)
		if !overdue() || overdue() {
			t.Error("not overdue, once, after 10 s without a request")
		}
		synctest.Wait()
		if err := <-s.closed; !errors.Is(err, io.EOF) {
			t.Errorf("Closed(%v); want io.EOF", err)
		}
		s.closed <- nil // for the count
	})
}

// failing is middleware that panics.
type failing struct{ http.ResponseWriter }

func (failing) Write([]byte) (int, error) { panic(http.ErrAbortHandler) }

func TestPanicInTheResponseWriterDoesNotHoldTheConn(t *testing.T) {
	bubble(t, func(t *testing.T, s *session, _ func(context.Context) <-chan answerOf) {
		func() {
			defer func() { _ = recover() }()
			_ = s.conn.ServePoll(failing{httptest.NewRecorder()}, httptest.NewRequest("GET", "/", nil), 0)
		}()
		if !s.conn.Overdue(time.Now().Add(time.Minute)) {
			t.Error("the Conn believes that a response is still being written")
		}
	})
}

func TestServePollOutlivesTheServersTimeouts(t *testing.T) {
	const timeout = 250 * time.Millisecond // it holds for the TLS handshake too
	for name, http2 := range map[string]bool{"HTTP1": false, "HTTP2": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := &longpoll.Options{WriteTimeout: timeout}
			srv := newServer(t, o, http2, func(s *http.Server) { s.ReadTimeout, s.WriteTimeout = timeout, timeout })
			conn, url := srv.add()
			s := start(conn)
			for range 2 {
				status, body, err := get(t.Context(), srv.Client(), url+"?600ms")
				if status != 200 || string(body) != "[]" || err != nil {
					t.Errorf("status %d, %q, %v", status, body, err)
				}
			}
			s.conn.Abort()
			<-s.closed
		})
	}
}

// TestDeadlineDoesNotStay: the connection serves other requests.
func TestDeadlineDoesNotStay(t *testing.T) {
	const timeout = 50 * time.Millisecond
	srv := newServer(t, &longpoll.Options{WriteTimeout: timeout}, false, nil)
	conn, url := srv.add()
	s := start(conn)
	for range 3 { // the server has no timeout that it would renew
		status, body, err := get(t.Context(), srv.Client(), url+"?0s")
		if status != 200 || err != nil {
			t.Errorf("status %d, %q, %v", status, body, err)
		}
		<-time.After(2 * timeout)
		status, _, err = get(t.Context(), srv.Client(), url+"?no+duration")
		if status != http.StatusBadRequest || err != nil {
			t.Errorf("status %d, %v", status, err)
		}
	}
	s.conn.Abort()
	<-s.closed
}

func TestResponseHead(t *testing.T) {
	srv := newServer(t, nil, false, nil)
	conn, url := srv.add()
	s := start(conn)
	s.send(t, "1") // is owed
	head, err := srv.Client().Head(url + "?10s")
	if err != nil {
		t.Fatal(err)
	}
	_ = head.Body.Close()
	if len(s.writable) > 0 {
		t.Error("a HEAD request counts as one for messages")
	}
	resp, err := srv.Client().Get(url + "?0s")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	for _, r := range []*http.Response{head, resp} {
		for k, want := range map[string]string{"Content-Type": "application/json", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"} {
			if got := r.Header.Get(k); got != want {
				t.Errorf("%s: %s is %q, want %q", r.Request.Method, k, got, want)
			}
		}
	}
	if resp.ContentLength != 2 {
		t.Errorf("Content-Length %d of []", resp.ContentLength)
	}
	s.conn.Abort()
	<-s.closed
}
