package main

import (
	"bytes"
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/mod/sumdb/note"

	"github.com/liveim/im/audit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRun(t *testing.T) {
	private, public, err := note.GenerateKey(rand.Reader, "live.example/audit")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	l, err := audit.Open(dir, &audit.Options{Signer: signer})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := l.Record(t.Context(), "moderate.mute", nil); err != nil {
			t.Fatal(err)
		}
	}
	signed, err := l.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	kept := filepath.Join(t.TempDir(), "kept")
	if err := os.WriteFile(kept, signed, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"-key", public, dir}, 0, "3 entries are good, 3 under the newest of 1 checkpoints"},
		{[]string{"-key", public, dir, kept}, 0, "newest of 2 checkpoints"},
		{[]string{"-key", public, dir, kept + "x"}, 2, "no such file"},
		{[]string{"-key", "x", dir}, 2, `the key "x"`},
		{[]string{"-x"}, 2, "not defined"},
		{nil, 2, "give the directory"},
	} {
		var out bytes.Buffer
		if code := run(tt.args, &out, &out); code != tt.code || !strings.Contains(out.String(), tt.says) {
			t.Errorf("%q: %d, %s", tt.args, code, &out)
		}
	}
	if err := os.Truncate(filepath.Join(dir, "entries"), 128); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if code := run([]string{"-key", public, dir}, &out, &out); code != 1 || !strings.Contains(out.String(), "entry 1 is bad (truncated)") {
		t.Errorf("%d, %s", code, &out)
	}
}
