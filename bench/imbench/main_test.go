//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/liveim/im/bench/compare"
	"github.com/liveim/im/bench/report"
	"go.uber.org/goleak"
)

// TestMain makes this binary the server process as well, which it starts as the command
// starts itself.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "-serve" {
		if err := run(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	// nbio keeps an engine in a package variable, whose two pools run from its init on.
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent())
}

func TestServersHaveProcessesOfTheirOwn(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "images"), 0o755); err != nil {
		t.Fatal(err)
	}
	page := filepath.Join(dir, "benchmarks.md")
	before := "# Title\n<!-- results: written by make bench -->\nold\n<!-- end of results -->\nThe end.\n"
	if err := os.WriteFile(page, []byte(before), 0o644); err != nil {
		t.Fatal(err)
	}
	results := filepath.Join(dir, "results.json")
	if err := run([]string{"-short", "-pin", "-rounds", "1", "-scenario", "viewers-1000", "-peers", "^$", "-json", results}); err != nil {
		t.Fatal(err)
	}
	f, err := report.Read(results)
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Runs) != 1 || f.Runs[0].Peer != f.Baseline || f.Runs[0].Error != "" || f.Runs[0].Missing > 0 || f.Runs[0].Deliveries != 40_000 {
		t.Fatalf("the runs are %+v", f.Runs)
	}
	if err := run([]string{"-report", results, "-docs", dir}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(page)
	if err != nil || !strings.HasPrefix(string(text), "# Title\n") || !strings.HasSuffix(string(text), "The end.\n") ||
		!strings.Contains(string(text), "### viewers-1000") || strings.Contains(string(text), "old") {
		t.Errorf("the page is %s, %v", text, err)
	}
}

func TestHubInAProcessOfItsOwn(t *testing.T) {
	s := compare.Scenario{
		Scenario: report.Scenario{Name: "mini", Kind: report.Rate}, Clients: 20, Rooms: 2, Rate: 50, Size: 100,
		Settle: 50 * time.Millisecond, Warm: 100 * time.Millisecond, For: 500 * time.Millisecond,
	}
	r, err := compare.Do(s, rows()[1], launch)
	if err != nil || r.Missing > 0 || r.Deliveries != 500 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestWrongUseIsRefused(t *testing.T) {
	for _, args := range [][]string{
		{"-scenario", "nothing of the kind"}, {"-peers", "("}, {"-scenario", "("}, {"-serve", "nobody"}, {"-serve", "im", "-setup", "{"}, {"-report", "nowhere.json"},
	} {
		if err := run(args); err == nil {
			t.Errorf("%q: no error", args)
		}
	}
}
