package websocket_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/liveim/im/transport/transporttest"
	"github.com/liveim/im/transport/websocket"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	plain := websocket.Options{Linger: linger}
	deflate := websocket.Options{Linger: linger, Deflate: true}
	for _, tt := range []struct {
		name string
		setup
	}{
		{"TCP", setup{options: plain}},
		{"TCP deflated", setup{options: deflate}},
		{"portable", setup{options: websocket.Options{Linger: linger, Portable: true}}},
		{"wrapped", setup{options: plain, wrapped: true}},
		{"TLS", setup{options: plain, secure: true}},
		{"TLS deflated", setup{options: deflate, secure: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			transporttest.Run(t, func(t testing.TB) transporttest.Harness {
				return loopback{newServer(t, tt.setup)}
			})
		})
	}
}

func TestConformanceInBubbles(t *testing.T) {
	transporttest.RunInBubbles(t, func(testing.TB) transporttest.Harness {
		return memory{&websocket.Options{Deflate: true}}
	})
}
