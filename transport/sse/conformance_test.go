package sse_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/liveim/im/transport/sse"
	"github.com/liveim/im/transport/transporttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	for name, s := range kinds {
		s.options.Linger = linger
		t.Run(name, func(t *testing.T) {
			transporttest.Run(t, func(t testing.TB) transporttest.Harness { return harness{newServer(t, s)} })
		})
	}
}

func TestConformanceInBubbles(t *testing.T) {
	transporttest.RunInBubbles(t, func(testing.TB) transporttest.Harness { return memory{new(sse.Options)} })
}
