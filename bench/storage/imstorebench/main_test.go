//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/liveim/im/bench/storage"
	"go.uber.org/goleak"
)

// TestMain makes this binary the child process as well, which it starts as the command starts itself.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "-child" {
		if err := run(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

func TestShortRunOfEverything(t *testing.T) {
	results := filepath.Join(t.TempDir(), "results.json")
	if err := run([]string{"-short", "-rounds", "1", "-dir", t.TempDir(), "-json", results, "-peers", "filelog, 100|^pebble$|^bbolt$|^bare group commit$|^write, fdatasync$"}); err != nil {
		t.Fatal(err)
	}
	f, err := storage.Read(results)
	if err != nil {
		t.Fatal(err)
	}
	// Five peers with four numbers of writers, four with latency, three that can be read, and two rooms.
	if len(f.Results) != 5*4+4+3+3+2 {
		t.Errorf("%d results: %+v", len(f.Results), f.Results)
	}
	for _, r := range f.Results {
		if r.Scenario == storage.Stall && r.Values["missing"] != 0 {
			t.Errorf("danmaku are missing: %+v", r)
		}
	}
	if err := run([]string{"-report", results}); err != nil {
		t.Error(err)
	}
}

func TestWrongUseIsRefused(t *testing.T) {
	for _, args := range [][]string{
		{"-scenario", "nothing of the kind"}, {"-peers", "("}, {"-scenario", "("}, {"-peers", "^nobody$"}, {"-report", "nowhere.json"},
		{"-child", "crash"}, {"-child", "crash", "nobody", "", "1", ""}, {"-child", "crash", "bbolt", "", "one", ""}, {"-child", "stall", "", "", "1s", "long"},
	} {
		if err := run(args); err == nil {
			t.Errorf("%q: no error", args)
		}
	}
}
