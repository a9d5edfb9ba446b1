//go:build !linux || portable

package netpoll

import (
	"errors"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// task is a Task made of a function.
type task func()

func (f task) Do() { f() }

func TestThereIsNoPoller(t *testing.T) {
	p, err := Join()
	if !errors.Is(err, ErrUnavailable) || Available {
		t.Errorf("Join = %v, Available = %v; want ErrUnavailable, false", err, Available)
	}
	for _, err := range []error{p.Add(0, nil), p.Rearm(0)} {
		if !errors.Is(err, ErrUnavailable) {
			t.Errorf("error %v, want ErrUnavailable", err)
		}
	}
	p.Remove(0)
	p.Leave()
	ran := make(chan struct{})
	p.Go(task(func() { close(ran) }))
	<-ran
}
