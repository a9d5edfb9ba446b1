package audit

import (
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/mod/sumdb/note"
)

// keys are a signer and who knows it.
type keys struct {
	signer note.Signer
	known  note.Verifiers
}

func newKeys(t testing.TB) keys {
	t.Helper()
	private, public, err := note.GenerateKey(rand.Reader, "test.example")
	if err != nil {
		t.Fatal(err)
	}
	s, err := note.NewSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	v, err := note.NewVerifier(public)
	if err != nil {
		t.Fatal(err)
	}
	return keys{s, note.VerifierList(v)}
}

func (k keys) options() *Options {
	return &Options{Signer: k.signer, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}
}

func soak() bool { return os.Getenv("IM_SOAK") != "" }

// fatal is what a test and a rapid check have in common.
type fatal interface {
	Helper()
	Fatal(...any)
}

func mustOpen(t fatal, dir string, o *Options) *Log {
	t.Helper()
	l, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func mustClose(t fatal, l *Log) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func fill(t testing.TB, l *Log, n int) {
	t.Helper()
	for i := range n {
		if err := l.Record(t.Context(), fmt.Sprint("test.", i%3), map[string]any{"user": fmt.Sprint("u", i%5), "i": i}); err != nil {
			t.Fatal(err)
		}
	}
}

func mustVerify(t testing.TB, k keys, dir string, kept ...[]byte) Report {
	t.Helper()
	r, err := Verify(t.Context(), dir, k.known, kept...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// snapshot is what a log's files hold.
type snapshot map[string][]byte

func readFiles(t testing.TB, dir string) snapshot {
	t.Helper()
	s := snapshot{}
	for _, name := range []string{entriesName, detailsName, treeName, checkpointsName} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		s[name] = data
	}
	return s
}

// with returns a copy with one file replaced.
func (s snapshot) with(name string, data []byte) snapshot {
	c := snapshot{name: data}
	for n, d := range s {
		if n != name {
			c[n] = d
		}
	}
	return c
}

func (s snapshot) write(t testing.TB, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, data := range s {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
