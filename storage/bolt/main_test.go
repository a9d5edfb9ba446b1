package bolt

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(victimVar); path != "" {
		victim(path)
		return
	}
	goleak.VerifyTestMain(m)
}

// soak tells whether the long form of tests runs.
func soak() bool { return os.Getenv("IM_SOAK") != "" }
