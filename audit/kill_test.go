package audit

import (
	"bufio"
	"context"
	crand "crypto/rand"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
)

// victimVar makes the test binary a process that is killed: it names the log's directory. victimKey is the private key.
const (
	victimVar = "AUDIT_VICTIM"
	victimKey = "AUDIT_VICTIM_KEY"
)

const victimWriters = 8

// victim records for ever, and says on its output what was acknowledged.
func victim(dir string) {
	fail := func(err error) {
		fmt.Println("error", err)
		os.Exit(1)
	}
	signer, err := note.NewSigner(os.Getenv(victimKey))
	if err != nil {
		fail(err)
	}
	l, err := Open(dir, &Options{Signer: signer, CheckpointEvery: 50})
	if err != nil {
		fail(err)
	}
	begin := l.Len()
	for w := range victimWriters {
		go func() {
			for i := 0; ; i++ {
				key := fmt.Sprintf("%d/%d/%d", begin, w, i)
				if err := l.Record(context.Background(), "test", map[string]string{"key": key, "user": fmt.Sprint(w)}); err != nil {
					fail(err)
				}
				fmt.Println("acked", key)
				if w == 0 && i%20 == 19 {
					if _, err := l.Erase(context.Background(), func(e Entry) bool { return e.Text("user") == "7" }); err != nil {
						fail(err)
					}
				}
			}
		}()
	}
	select {}
}

// TestKilled kills a process amid its records and erasures, again and again on one directory: all that it had
// acknowledged is there, and the tree is right.
func TestKilled(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	private, public, err := note.GenerateKey(crand.Reader, "victim")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := note.NewVerifier(public)
	if err != nil {
		t.Fatal(err)
	}
	k := keys{signer, note.VerifierList(verifier)}
	kills := 5
	if soak() {
		kills = 50
	}
	acked := map[string]bool{}
	var kept [][]byte
	for range kills {
		for _, key := range runVictim(t, dir, private, 20+rand.IntN(300)) {
			acked[key] = true
		}
		l := mustOpen(t, dir, k.options())
		for e, err := range l.Entries(t.Context(), Query{Action: "test"}) {
			if err != nil {
				t.Fatal(err)
			}
			delete(acked, e.Text("key"))
		}
		for key := range acked {
			if strings.Split(key, "/")[1] != "7" { // those may be erased
				t.Errorf("%s was acknowledged and is gone", key)
			}
		}
		clear(acked)
		signed, err := l.Checkpoint(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		kept = append(kept, signed)
		mustClose(t, l)
		if r := mustVerify(t, k, dir, kept...); r.Torn || r.Unfinished > 0 {
			t.Errorf("%+v", r)
		}
	}
}

// runVictim runs a process on the log until it has written so many lines, kills it, and returns what it acknowledged.
func runVictim(t *testing.T, dir, private string, lines int) (acked []string) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), victimVar+"="+dir, victimKey+"="+private)
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
		key, ok := strings.CutPrefix(strings.TrimSpace(line), "acked ")
		if !ok {
			t.Errorf("the process says: %s", line)
		}
		acked = append(acked, key)
		if n == lines {
			_ = cmd.Process.Kill()
		}
	}
	_ = cmd.Wait() // it was killed
	return acked
}
