package filelog

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/liveim/im"
)

// mount mounts a file system of the machine's own at dir until the test ends.
func mount(t *testing.T, dir, size string) {
	t.Helper()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, size); err != nil {
		t.Skipf("mounting is not allowed here (%v); TestFaults has a disk in memory that is full, and one that is read-only", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
}

func TestReadOnlyDirectory(t *testing.T) {
	dir := t.TempDir()
	if os.Geteuid() != 0 {
		if err := os.Chmod(dir, 0o500); err != nil {
			t.Fatal(err)
		}
	} else { // who may write whatever the mode says
		mount(t, dir, "size=1m")
		if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY, "size=1m"); err != nil {
			t.Fatal(err)
		}
	}
	if l, err := Open(dir, nil); err == nil {
		l.Close()
		t.Error("Open of a read-only directory succeeds")
	}
}

// TestFullDisk fills a small file system of the machine's own, and makes room again.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	mount(t, dir, "size=1m")
	l := openDir(t, dir, Options{SegmentBytes: 4 << 20})
	t.Cleanup(func() { l.Close() }) // before the unmount
	ctx := context.Background()
	body := strings.Repeat("x", 10_000)
	stored := 0
	var err error
	for ; err == nil; stored++ {
		e := gift(fmt.Sprint(stored, body))
		_, err = l.Append(ctx, "room", []*im.Event{e})
		if stored > 1000 {
			t.Fatal("10 MB fit into 1 MiB")
		}
	}
	stored--
	if !errors.Is(err, im.ErrNotStored) || !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("Append to a full disk returned %v, want an error that wraps ErrNotStored and ENOSPC", err)
	}
	must(t, l, "room", danmaku("alive"))
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=4m"); err != nil {
		t.Fatal(err)
	}
	await(t, "the log is well again", func() bool { return l.Health() == nil })
	must(t, l, "room", gift("after"))
	l.Close()
	r, err := Verify(ctx, dir)
	if err != nil || len(r.Damage) > 0 || r.Torn != nil {
		t.Errorf("Verify finds %+v, %v", r, err)
	}
	again := openDir(t, dir, Options{})
	if got := len(all(t, again, "room")); got != stored+2 {
		t.Errorf("the room has %d events, want %d", got, stored+2)
	}
	again.Close()
}
