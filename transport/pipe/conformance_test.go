package pipe_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/liveim/im/transport"
	"github.com/liveim/im/transport/pipe"
	"github.com/liveim/im/transport/transporttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	transporttest.Run(t, func(testing.TB) transporttest.Harness { return harness{} })
}

func TestConformanceInBubbles(t *testing.T) {
	transporttest.RunInBubbles(t, func(testing.TB) transporttest.Harness { return harness{} })
}

func TestConformanceWithSmallBuffer(t *testing.T) {
	transporttest.Run(t, func(testing.TB) transporttest.Harness { return harness{buffer: 1000} })
}

type harness struct{ buffer int }

func (h harness) Open(t testing.TB) (transport.Conn, transporttest.Peer) {
	conn, p := pipe.New(&pipe.Options{Buffer: h.buffer, Linger: 50 * time.Millisecond})
	return conn, peer{p, t.Context()}
}

// peer adapts a pipe.Peer.
type peer struct {
	*pipe.Peer
	ctx context.Context
}

func (p peer) Send(msg []byte) error { return p.Peer.Send(p.ctx, msg) }

func (p peer) Recv() ([]byte, error) {
	msg, err := p.Peer.Recv(p.ctx)
	var farewell *pipe.CloseError
	if errors.As(err, &farewell) {
		err = &transporttest.CloseError{Code: farewell.Code, Reason: farewell.Reason}
	}
	return msg, err
}

func (p peer) Violate() error {
	if err := p.Send([]byte("{\n}")); err == nil {
		return errors.New("a message with a line break was accepted")
	}
	return nil
}
