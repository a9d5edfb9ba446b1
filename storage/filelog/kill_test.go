package filelog

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/liveim/im"
)

// childDir names the directory in which a child of the test binary appends until it is killed.
const childDir = "FILELOG_TEST_CHILD"

// soak reports whether tests may take long.
func soak() bool { return os.Getenv("IM_SOAK") == "1" }

// appendUntilKilled is the child: each event that was acknowledged becomes a line of its output.
func appendUntilKilled(dir string) {
	l, err := Open(dir, &Options{SegmentBytes: 256 << 10, Logger: quiet()})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			room := fmt.Sprint("room-", g%4)
			for i := 0; ; i++ {
				id := fmt.Sprintf("%d-%d-%d", os.Getpid(), g, i)
				e := gift(id)
				if i%5 == 4 {
					e = danmaku(id)
				}
				out, err := l.Append(context.Background(), room, []*im.Event{e})
				if err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				if e.Class == im.Critical {
					fmt.Printf("%s %s %s\n", room, id, out[0].Pos)
				}
			}
		})
	}
	wg.Wait()
}

// TestKill kills a process that appends, again and again: nothing that was acknowledged is lost or doubled.
func TestKill(t *testing.T) {
	kills := 5
	if soak() {
		kills = 50
	}
	dir := t.TempDir()
	acked := map[string]string{} // by ID: room and position
	named := map[string]string{} // by room and position: ID
	for i := range kills {
		killOnce(t, dir, acked)
		began := time.Now()
		l := openDir(t, dir, Options{SegmentBytes: 256 << 10})
		if d := time.Since(began); d > 2*time.Second {
			t.Errorf("opening took %v after kill %d", d, i)
		}
		checkAcked(t, l, acked, named)
		if i%2 == 0 {
			l.crash()
		} else if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d events were acknowledged over %d kills", len(acked), kills)
	r, err := Verify(context.Background(), dir)
	if err != nil || len(r.Damage) > 0 {
		t.Errorf("Verify finds %v, %v", r.Damage, err)
	}
}

func killOnce(t *testing.T, dir string, acked map[string]string) {
	t.Helper()
	child := exec.Command(os.Args[0], "-test.run=^$")
	child.Env = append(os.Environ(), childDir+"="+dir)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	after := 100 + rand.IntN(1500)
	lines := bufio.NewScanner(out)
	for n := 0; lines.Scan(); n++ {
		if n == after {
			if err := child.Process.Kill(); err != nil {
				t.Error(err)
			}
		}
		room, rest, _ := strings.Cut(lines.Text(), " ")
		id, at, ok := strings.Cut(rest, " ")
		if ok { // the last line may be cut off by the kill, inside the position
			acked[id] = room + " " + at
		}
	}
	child.Wait()
}

func checkAcked(t *testing.T, l *Log, acked, named map[string]string) {
	t.Helper()
	found := map[string]string{}
	for g := range 4 {
		room := fmt.Sprint("room-", g)
		events := all(t, l, room)
		checkOrder(t, events)
		for _, e := range events {
			at := room + " " + e.Pos.String()
			if found[e.ID] != "" {
				t.Fatalf("event %q is there twice, at %s and %s", e.ID, found[e.ID], at)
			}
			if other := named[at]; other != "" && other != e.ID {
				t.Fatalf("%s names event %q, and named %q before", at, e.ID, other)
			}
			found[e.ID], named[at] = at, e.ID
		}
	}
	for id, at := range acked {
		if !strings.HasPrefix(found[id], at) {
			t.Fatalf("event %q was acknowledged at %s and is at %q", id, at, found[id])
		}
	}
}
