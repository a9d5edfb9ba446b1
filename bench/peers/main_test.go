package peers_test

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// nbio keeps an engine in a package variable (websocket.DefaultEngine), whose two pools run from its init on.
		goleak.IgnoreCurrent(),
		// A node of centrifuge does not wait for its workers, one of which sleeps up to a second after the last client.
		goleak.IgnoreAnyFunction("github.com/centrifugal/centrifuge/internal/dissolve.(*Dissolver).runWorker"),
	)
}
