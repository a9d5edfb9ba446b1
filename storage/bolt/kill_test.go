package bolt

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

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
	if seed := os.Getenv(linearVictimVar); seed != "" {
		n, err := strconv.ParseUint(seed, 10, 64)
		if err != nil {
			fail(err)
		}
		linearVictim(l, n)
		select {}
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
		acked := map[int]uint64{}
		runVictim(t, path, 20+rand.IntN(200), func(line string) {
			var w int
			var version uint64
			if _, err := fmt.Sscanf(line, "acked %d %d", &w, &version); err != nil {
				t.Errorf("the process says: %s", line)
			}
			acked[w] = max(acked[w], version)
		})
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

// runVictim runs a process on the ledger until it has written so many lines and kills it.
// It gives each line to read, those too that were in the pipe when the process died.
func runVictim(t *testing.T, path string, lines int, read func(line string), env ...string) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(append(os.Environ(), victimVar+"="+path), env...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(out)
	for n := 1; ; n++ {
		line, err := in.ReadString('\n')
		if err != nil {
			break // the end, and at most a line that the kill has torn
		}
		read(strings.TrimSpace(line))
		if n == lines {
			_ = cmd.Process.Kill()
		}
	}
	_ = cmd.Wait() // it was killed
}

// linearVictimVar holds a seed and makes the victim a process of linearClients.
const linearVictimVar = "LEDGER_VICTIM_SEED"

const linearClients = 4

// report is a line of such a process: a call that is about to be made, or its answer.
type report struct {
	Client, Serial int
	At             int64 // nanoseconds since the process began
	In             *call
	Out            *answer
}

// linearVictim makes random calls for ever.
func linearVictim(l ledger.Ledger, seed uint64) {
	begin := time.Now()
	say := func(r report) {
		r.At = time.Since(begin).Nanoseconds()
		line, _ := json.Marshal(r)
		fmt.Printf("%s\n", line)
	}
	for id := range linearClients {
		go func() {
			c := &linearClient{id: id, l: l, rng: rand.New(rand.NewPCG(seed, uint64(id)))}
			for serial := 0; ; serial++ {
				in := c.next(serial)
				say(report{Client: id, Serial: serial, In: &in})
				out, err := c.do(in)
				if err != nil {
					fmt.Println("error", err)
					os.Exit(1)
				}
				say(report{Client: id, Serial: serial, Out: &out})
			}
		}()
	}
}

// TestLinearizableOverKills checks one history over several processes that were killed on one file. What a process
// had begun when it died has happened before the next one began, or never.
func TestLinearizableOverKills(t *testing.T) {
	rounds := 1
	if soak() {
		rounds = 20
	}
	for range rounds {
		path := newPath(t)
		var history []porcupine.Operation
		const processes = 4
		for p := range processes {
			base := int64(p) * time.Hour.Nanoseconds()
			open := map[int]*porcupine.Operation{} // by client
			seed := rand.Uint64()
			runVictim(t, path, 60+rand.IntN(100), func(line string) {
				var r report
				if err := json.Unmarshal([]byte(line), &r); err != nil {
					t.Fatalf("the process says: %s", line)
				}
				if r.In != nil {
					open[r.Client] = &porcupine.Operation{
						ClientId: p*linearClients + r.Client, Input: *r.In, Call: base + r.At,
						Output: answer{Unknown: true}, Return: base + time.Hour.Nanoseconds() - 1,
					}
					return
				}
				op := open[r.Client]
				op.Output, op.Return = *r.Out, base+r.At
				history = append(history, *op)
				delete(open, r.Client)
			}, linearVictimVar+"="+strconv.FormatUint(seed, 10))
			for _, op := range open {
				history = append(history, *op)
			}
		}
		l := mustOpen(t, path, nil)
		last := &linearClient{id: processes * linearClients, l: l}
		in := call{Key: -1}
		out, err := last.do(in)
		if err != nil {
			t.Fatal(err)
		}
		at := processes * time.Hour.Nanoseconds()
		history = append(history, porcupine.Operation{ClientId: last.id, Input: in, Call: at, Output: out, Return: at + 1})
		checkLinear(t, history)
		checkIndexes(t, l)
	}
}
