package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest/logtest"
	"github.com/liveim/im/storage/filelog"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRun(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "rooms")
	log, err := filelog.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"a", "b", "c"} {
		if _, err := log.Append(t.Context(), "42", logtest.Events(im.Critical, id)); err != nil {
			t.Fatal(err)
		}
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	check := func(args []string, code int, says string) {
		t.Helper()
		var out, errs bytes.Buffer
		if got := run(t.Context(), args, &out, &errs); got != code || !strings.Contains(out.String()+errs.String(), says) {
			t.Errorf("run(%q) returned %d and said %q%q; want %d and %q", args, got, &out, &errs, code, says)
		}
	}
	check(nil, 2, "usage")
	check([]string{filepath.Join(dir, "none")}, 2, "none")
	check([]string{dir}, 0, "1 segments")

	files, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil || len(files) != 1 {
		t.Fatalf("segments: %q, %v", files, err)
	}
	data, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	i := bytes.Index(data, []byte("42"))
	data[i] ^= 1
	if err := os.WriteFile(files[0], data, 0o600); err != nil {
		t.Fatal(err)
	}
	check([]string{dir}, 1, "damaged:")
}
