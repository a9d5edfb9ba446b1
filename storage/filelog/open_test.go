package filelog

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest/logtest"
	"github.com/liveim/im/storage/filelog/internal/disk/disktest"
	"github.com/liveim/im/storage/filelog/internal/segment"
)

func TestOptions(t *testing.T) {
	for _, c := range []struct {
		o    Options
		want string
	}{
		{Options{KeepAge: -1}, "KeepAge"},
		{Options{KeepBytes: -1}, "KeepBytes"},
		{Options{SegmentBytes: -1}, "SegmentBytes"},
		{Options{KeepEvents: -1}, "KeepEvents"},
		{Options{KeepVolatile: -1}, "KeepVolatile"},
		{Options{QueueEvents: -1}, "QueueEvents"},
		{Options{QueueBytes: -1}, "QueueBytes"},
		{Options{VolatileBytes: -1}, "VolatileBytes"},
		{Options{CacheBytes: -1}, "CacheBytes"},
	} {
		_, err := Open(t.TempDir(), &c.o)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Open with a negative %s returned %v, want an error that names it", c.want, err)
		}
	}
	if _, err := Open("", nil); err == nil {
		t.Error("Open without a directory succeeds")
	}
}

func TestLock(t *testing.T) {
	dir := t.TempDir()
	l := openDir(t, dir, Options{})
	if _, err := Open(dir, nil); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), dir) {
		t.Errorf("a second Open returned %v, want an error that wraps ErrLocked and names the directory", err)
	}
	if _, err := Verify(context.Background(), dir); err != nil {
		t.Errorf("Verify of a log that is open: %v", err)
	}
	l.Close()
	openDir(t, dir, Options{})
}

func TestSecret(t *testing.T) {
	dir := t.TempDir()
	l := openDir(t, dir, Options{})
	first := string(l.Secret())
	l.Close()
	if len(first) != 32 {
		t.Fatalf("the secret has %d bytes, want 32", len(first))
	}
	l = openDir(t, dir, Options{})
	if again := string(l.Secret()); again != first {
		t.Error("the secret is another one after a restart")
	}
	info, err := os.Stat(filepath.Join(dir, secretName))
	if err != nil || info.Mode().Perm()&0o077 != 0 {
		t.Errorf("the secret has mode %v, %v: nobody else may read it", info.Mode(), err)
	}
	l.Close()
	if err := os.WriteFile(filepath.Join(dir, secretName), []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, nil); err == nil || !strings.Contains(err.Error(), secretName) {
		t.Errorf("Open with a secret of another length returned %v", err)
	}
}

func TestClosedLog(t *testing.T) {
	ctx := context.Background()
	l := openDir(t, t.TempDir(), Options{})
	at := must(t, l, "room", gift("a"))
	w := follow(t, l, "room", im.Position{})
	for range 2 {
		if err := l.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
	}
	if w.err == nil {
		t.Error("a follower is not told that the log is closed")
	}
	_, errAppend := l.Append(ctx, "room", []*im.Event{gift("b")})
	_, errRead := l.Read(ctx, "room", im.Range{})
	_, errHead := l.Head(ctx, "room")
	_, errFollow := l.Follow(ctx, "room", im.Position{}, func([]*im.Event, error) {})
	errSave := l.SaveSnapshot(ctx, "room", im.Snapshot{Pos: im.Position{Seq: at[0]}})
	_, _, errLoad := l.LoadSnapshot(ctx, "room")
	for name, err := range map[string]error{
		"Append": errAppend, "Read": errRead, "Head": errHead, "Follow": errFollow,
		"SaveSnapshot": errSave, "LoadSnapshot": errLoad, "Trim": l.Trim(ctx, l.opts.Now()), "Health": l.Health(),
	} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s of a closed log returned %v, want an error that wraps ErrClosed", name, err)
		}
	}
}

// TestCleanCloseLeavesNothingOpen checks that a log goes on where it was after Close, and skips after a crash.
func TestCleanCloseLeavesNothingOpen(t *testing.T) {
	fsys := disktest.New()
	l := openFS(t, fsys, Options{})
	first := must(t, l, "room", gift("a"))[0]
	l.Close()
	l = openFS(t, fsys, Options{})
	second := must(t, l, "room", gift("b"))[0]
	if second > first+headroom+1 {
		t.Errorf("positions go from %d to %d over a clean restart", first, second)
	}
	l.crash()
	fsys = fsys.Crash(nil)
	l = openFS(t, fsys, Options{})
	if third := must(t, l, "room", gift("c"))[0]; third <= second+reserve {
		t.Errorf("positions go from %d to %d over a loss of power: up to %d more may have been given", second, third, reserve)
	}
	if got := ids(all(t, l, "room")); got != "a b c " {
		t.Errorf("the room holds %s", got)
	}
}

// TestUnwrittenPositionsAreNotGivenAgain has volatile events pass that are never written, and closes cleanly.
func TestUnwrittenPositionsAreNotGivenAgain(t *testing.T) {
	fsys := disktest.New()
	l := openFS(t, fsys, Options{VolatileBytes: 1})
	must(t, l, "room", gift("a"))
	given := must(t, l, "room", danmaku("b"), danmaku("c"))[1]
	l.Close()
	l = openFS(t, fsys, Options{})
	if again := must(t, l, "room", danmaku("d"))[0]; again <= given {
		t.Errorf("position %d was given to danmaku c, and %d to danmaku d after a restart", given, again)
	}
}

var update = flag.Bool("update", false, "write the golden directory anew")

// TestGolden opens a directory that the first version wrote.
func TestGolden(t *testing.T) {
	golden := filepath.Join("testdata", "v1")
	if *update {
		writeGolden(t, golden)
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(golden)); err != nil {
		t.Fatal(err)
	}
	l := openDir(t, dir, Options{KeepAge: 200 * 365 * 24 * 3600 * 1e9})
	if d := l.Damage(); len(d) > 0 {
		t.Errorf("damage: %v", d)
	}
	if got := ids(all(t, l, "弹幕")); got != "a b c d " {
		t.Errorf("the room holds %s", got)
	}
	s, ok, err := l.LoadSnapshot(context.Background(), "弹幕")
	if err != nil || !ok || string(s.Data) != `{"n":2}` {
		t.Errorf("the snapshot is %s, %v, %v", s.Data, ok, err)
	}
	out, err := l.Append(context.Background(), "弹幕", []*im.Event{gift("a"), logtest.Event(im.Gift, im.Critical, "c", "0")})
	if err != nil || out[0].Status != im.Duplicate || out[1].Status != im.Conflict {
		t.Errorf("retries are answered %v, %v", out, err)
	}
}

// writeGolden makes a directory with a sealed segment and one that is not.
func writeGolden(t *testing.T, dir string) {
	os.RemoveAll(dir)
	l := openDir(t, dir, Options{SegmentBytes: 1})
	must(t, l, "弹幕", gift("a"), danmaku("b"))
	head, _ := l.Head(context.Background(), "弹幕")
	if err := l.SaveSnapshot(context.Background(), "弹幕", im.Snapshot{Pos: head, Data: []byte(`{"n":2}`)}); err != nil {
		t.Fatal(err)
	}
	must(t, l, "弹幕", gift("c"))
	waitSealed(t, l)
	l.Close()
	l = openDir(t, dir, Options{})
	must(t, l, "弹幕", danmaku("d"))
	l.Close()
	if err := os.Remove(filepath.Join(dir, lockName)); err != nil {
		t.Fatal(err)
	}
}

// waitSealed waits until all but the segment that is written to is sealed.
func waitSealed(t testing.TB, l *Log) {
	t.Helper()
	await(t, "all segments are sealed", func() bool { return l.keeper.next() == nil })
	if err := l.keeper.begin(context.Background()); err != nil { // what comes after is done too
		t.Fatal(err)
	}
	l.keeper.end()
}

func TestNewerVersionIsRefused(t *testing.T) {
	dir := t.TempDir()
	l := openDir(t, dir, Options{})
	l.Close()
	path := filepath.Join(dir, segment.ActiveName(1))
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at < 128; at += 64 { // the header, twice
		binary.LittleEndian.PutUint32(data[at+8:], segment.Version+1)
		binary.LittleEndian.PutUint32(data[at+60:], crc32.Checksum(data[at:at+60], crc32.MakeTable(crc32.Castagnoli)))
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, nil); !errors.Is(err, segment.ErrVersion) {
		t.Errorf("Open of a newer log returned %v, want an error that wraps ErrVersion", err)
	}
}
