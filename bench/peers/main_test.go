package peers_test

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// nbio keeps an engine in a package variable (websocket.DefaultEngine), whose two pools run from its init on.
		goleak.IgnoreTopFunction("github.com/lesismal/nbio/taskpool.New.func2"),
	)
}
