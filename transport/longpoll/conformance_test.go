package longpoll_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/liveim/im/transport/longpoll"
	"github.com/liveim/im/transport/transporttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	for name, http2 := range map[string]bool{"HTTP1": false, "HTTP2": true} {
		t.Run(name, func(t *testing.T) {
			transporttest.Run(t, func(t testing.TB) transporttest.Harness {
				return newServer(t, &longpoll.Options{Linger: linger}, http2, nil)
			})
		})
	}
}

func TestConformanceWithSmallAnswers(t *testing.T) {
	transporttest.Run(t, func(t testing.TB) transporttest.Harness {
		return newServer(t, &longpoll.Options{Linger: linger, MaxAnswer: 1000}, false, nil)
	})
}

func TestConformanceInBubbles(t *testing.T) {
	transporttest.RunInBubbles(t, func(testing.TB) transporttest.Harness { return memory{new(longpoll.Options)} })
}
