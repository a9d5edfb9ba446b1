package inlet

import (
	"errors"
	"net"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// session is a transport.Session that does what it is told to.
type session struct {
	receive func(msg []byte) error
	calls   chan string
	closed  chan error
}

func newSession() *session {
	return &session{calls: make(chan string, 64), closed: make(chan error, 2)}
}

func (s *session) Receive(msg []byte) error {
	s.calls <- "receive " + string(msg)
	if s.receive != nil {
		return s.receive(msg)
	}
	return nil
}

func (s *session) Alive()           {}
func (s *session) Control([]byte)   {}
func (s *session) Fail(int, string) { s.calls <- "fail" }
func (s *session) Writable()        { s.calls <- "writable"; s.closedEarly() }
func (s *session) Closed(err error) { s.closed <- err }

// closedEarly panics if Closed came before another call had returned.
func (s *session) closedEarly() {
	if len(s.closed) > 0 {
		panic("Closed was not last")
	}
}

var errEnd = errors.New("the end")

func newInlet() *Inlet {
	i := new(Inlet)
	i.Init(i.End)
	return i
}

func TestTurnsAreTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i, s := newInlet(), newSession()
		proceed := make(chan struct{})
		s.receive = func([]byte) error { <-proceed; s.closedEarly(); return nil }
		answers := make(chan error, 3)
		for range 3 {
			go func() { answers <- i.Receive([]byte("x")) }()
		}
		synctest.Wait()
		if len(s.calls) > 0 {
			t.Fatal("the session was called before Start")
		}
		i.Start(s)
		synctest.Wait()
		if len(s.calls) != 1 {
			t.Fatalf("%d calls of the reader run at a time", len(s.calls))
		}
		proceed <- struct{}{}
		synctest.Wait()
		i.Writable() // takes no turn
		i.End(errEnd)
		synctest.Wait()
		if len(s.closed) > 0 {
			t.Fatal("Closed came before the last call had returned")
		}
		close(proceed)
		synctest.Wait()
		if err := <-s.closed; !errors.Is(err, errEnd) {
			t.Errorf("Closed(%v)", err)
		}
		got := []error{<-answers, <-answers, <-answers}
		if n := len(slices.DeleteFunc(got, func(err error) bool { return err == nil })); n != 1 || !errors.Is(got[0], net.ErrClosed) {
			t.Errorf("answers: %v; want one ErrOver", got)
		}
	})
}

func TestClosedComesOnceHoweverItEnds(t *testing.T) {
	for name, end := range map[string]func(i *Inlet, s *session){
		"before Start": func(i *Inlet, s *session) { i.End(errEnd); i.Start(s) },
		"idle":         func(i *Inlet, s *session) { i.Start(s); i.End(errEnd); i.End(nil) },
		"in a call": func(i *Inlet, s *session) {
			s.receive = func([]byte) error { i.End(errEnd); return nil }
			i.Start(s)
			_ = i.Receive(nil)
		},
		"panic": func(i *Inlet, s *session) {
			s.receive = func([]byte) error { panic(errEnd) }
			i.Start(s)
			_ = i.Receive(nil)
		},
		"Goexit": func(i *Inlet, s *session) {
			s.receive = func([]byte) error { runtime.Goexit(); return nil }
			i.Start(s)
			go func() { _ = i.Receive(nil) }()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				i, s := newInlet(), newSession()
				end(i, s)
				synctest.Wait()
				if n := len(s.closed); n != 1 {
					t.Fatalf("Closed was called %d times", n)
				}
				if err := <-s.closed; err == nil {
					t.Error("Closed(nil); want the cause")
				}
				if err := i.Receive(nil); !errors.Is(err, ErrOver) {
					t.Errorf("Receive after the end = %v", err)
				}
				i.Writable()
				i.Fail(1002, "too late")
			})
		})
	}
}

func TestRefusalEndsTheTurns(t *testing.T) {
	i, s := newInlet(), newSession()
	s.receive = func([]byte) error { return errEnd }
	i.Start(s)
	if err := i.Receive(nil); !errors.Is(err, errEnd) {
		t.Errorf("Receive = %v; want the session's error", err)
	}
	if err := i.Receive(nil); !errors.Is(err, ErrOver) {
		t.Errorf("Receive = %v; want ErrOver", err)
	}
	i.Fail(1002, "nobody listens")
	if len(s.calls) != 1 {
		t.Errorf("%d calls; want one", len(s.calls))
	}
	i.End(nil)
	<-s.closed
}
