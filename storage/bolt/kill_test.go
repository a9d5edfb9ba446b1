package bolt

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/liveim/im/ledger"
)

// victimVar makes the test binary a process that is killed: it names the ledger's file.
const victimVar = "LEDGER_VICTIM"

const victimWriters = 4

// victim commits for ever, and says on its output what was acknowledged. Each writer counts up
// one entry and adds another with the number, in one commit.
func victim(path string) {
	fail := func(err error) {
		fmt.Println("error", err)
		os.Exit(1)
	}
	l, err := Open(path, nil)
	if err != nil {
		fail(err)
	}
	for w := range victimWriters {
		go func() {
			ctx := context.Background()
			key := fmt.Sprint("counter/", w)
			e, err := l.Get(ctx, key)
			if err != nil && !errors.Is(err, ledger.ErrNotFound) {
				fail(err)
			}
			for {
				e.Key = key
				out, err := l.Commit(ctx, ledger.Change{Entry: e}, ledger.Change{Entry: numbered(w, e.Version+1)})
				if err != nil {
					fail(err)
				}
				e = out[0]
				fmt.Printf("acked %d %d\n", w, e.Version)
			}
		}()
	}
	select {}
}

// numbered is the entry that a writer adds beside the version of its counter.
func numbered(w int, version uint64) ledger.Entry {
	return ledger.Entry{Key: fmt.Sprintf("writer/%d/%08d", w, version), Room: fmt.Sprint("room ", w), Data: []byte(strconv.FormatUint(version, 10))}
}

// TestKilled kills a process amid its commits, again and again on one file: all that it had acknowledged
// is there, and each commit in whole or not at all.
func TestKilled(t *testing.T) {
	kills := 5
	if soak() {
		kills = 50
	}
	path := newPath(t)
	for range kills {
		acked := runVictim(t, path, 20+rand.IntN(200))
		l := mustOpen(t, path, nil)
		checkIndexes(t, l)
		for w := range victimWriters {
			counter, err := l.Get(t.Context(), fmt.Sprint("counter/", w))
			if err != nil && !errors.Is(err, ledger.ErrNotFound) {
				t.Fatal(err)
			}
			if counter.Version < acked[w] {
				t.Errorf("writer %d was told that version %d is stored, and the file has version %d after the kill", w, acked[w], counter.Version)
			}
			found, err := l.List(t.Context(), ledger.Query{Room: fmt.Sprint("room ", w), Max: 1 << 20})
			if err != nil || uint64(len(found)) != counter.Version {
				t.Errorf("writer %d has a counter of version %d and %d entries beside it (error %v): a commit was torn", w, counter.Version, len(found), err)
			}
			for i, e := range found {
				if want := numbered(w, uint64(i)+1); e.Key != want.Key || string(e.Data) != string(want.Data) {
					t.Errorf("entry %d of writer %d is %q with %s", i, w, e.Key, e.Data)
				}
			}
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// runVictim runs a process on the ledger until it has acknowledged so many commits and kills it. It returns the
// last version that each writer has reported.
func runVictim(t *testing.T, path string, commits int) map[int]uint64 {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), victimVar+"="+path)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	kill := func() { once.Do(func() { _ = cmd.Process.Kill() }) }
	defer kill()
	acked := map[int]uint64{}
	lines := bufio.NewScanner(out)
	for n := 1; lines.Scan(); n++ { // to the end: what is in the pipe was acknowledged too
		var w int
		var version uint64
		if _, err := fmt.Sscanf(lines.Text(), "acked %d %d", &w, &version); err != nil {
			if strings.HasPrefix(lines.Text(), "acked") {
				continue // the kill has torn the line
			}
			t.Errorf("the process says: %s", lines.Text())
		}
		acked[w] = max(acked[w], version)
		if n >= commits {
			kill()
		}
	}
	_ = cmd.Wait() // it was killed
	return acked
}
