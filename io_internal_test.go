package im

import (
	"net/http"
	"testing"

	"github.com/liveim/im/internal/netpoll"
	"github.com/liveim/im/internal/uring"
)

// What a hub says of its way to read and write is what it was told, or the best there is.
func TestIOInUse(t *testing.T) {
	best := IOPortable
	if netpoll.Available {
		best = IOWrite
		if uring.Probe() == nil {
			best = IOUring
		}
	}
	for asked, want := range map[IO]IO{IOAuto: best, IOUring: IOUring, IOWrite: IOWrite, IOPortable: IOPortable} {
		hub, err := New(func(*http.Request) (User, error) { return User{}, ErrNoCredentials }, &Options{IO: asked})
		possible := asked == IOAuto || asked == IOPortable || asked == IOWrite && netpoll.Available || asked == IOUring && best == IOUring
		if (err == nil) != possible {
			t.Errorf("New with IO %v: %v; possible: %v", asked, err, possible)
		}
		if err != nil {
			continue
		}
		if got := hub.Stats().IO; got != want {
			t.Errorf("IO %v: in use is %v, want %v", asked, got, want)
		}
		if err := hub.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestIOHasNames(t *testing.T) {
	for i, want := range map[IO]string{IOAuto: "auto", IOUring: "io_uring", IOWrite: "write", IOPortable: "portable", 7: "IO(7)"} {
		if got := i.String(); got != want {
			t.Errorf("IO %d is called %q, want %q", uint8(i), got, want)
		}
	}
}
