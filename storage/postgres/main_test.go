package postgres

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(withServer{m}) }

// withServer starts the server before the tests, which are worth nothing without
// it, and stops it before leaks are looked for.
type withServer struct{ *testing.M }

func (m withServer) Run() int {
	if os.Getenv("IM_SOAK") == "" { // each step of a model is a commit or more, on a disk
		if err := flag.Set("rapid.checks", "40"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	flag.Parse() // may say otherwise
	server = startServer()
	defer server.stop()
	if server.err != nil {
		fmt.Fprintln(os.Stderr, "there is no server for the tests:", server.err)
		if testing.Short() {
			return 0
		}
		return 1
	}
	return m.M.Run()
}
