package im_test

import (
	"os"
	"testing"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest"
)

// ioPath is one way to read and write plain TCP connections, by its name in IM_IO.
type ioPath struct {
	name string
	io   im.IO
}

var ioPaths = []ioPath{{"uring", im.IOUring}, {"write", im.IOWrite}, {"portable", im.IOPortable}}

// eachPath runs a test on each way to read and write: in full on the one that is the
// default here, and in brief on the others. make soak runs all in full. IM_IO=uring,
// write or portable runs one alone, in full.
func eachPath(t *testing.T, test func(t *testing.T, p ioPath, full bool)) {
	t.Helper()
	for _, p := range wantedPaths(t) {
		t.Run(p.name, func(t *testing.T) {
			if standard, ok := p.available(t); ok {
				test(t, p, standard || soak() || os.Getenv("IM_IO") != "")
			}
		})
	}
}

// wantedPaths are all, or the one of IM_IO.
func wantedPaths(t *testing.T) []ioPath {
	t.Helper()
	name := os.Getenv("IM_IO")
	if name == "" {
		return ioPaths
	}
	for _, p := range ioPaths {
		if p.name == name {
			return []ioPath{p}
		}
	}
	t.Fatalf("IM_IO is %q: want uring, write or portable", name)
	return nil
}

// available reports whether this system has the path, and whether it is the default
// one. It holds that a hub is refused where the path is missing, and that it is
// missing only where the default does without it.
func (p ioPath) available(t *testing.T) (standard, ok bool) {
	t.Helper()
	auto, err := im.New(imtest.BearerUser, nil)
	if err != nil {
		t.Fatal(err)
	}
	standard = auto.Stats().IO == p.io
	_ = auto.Close()
	hub, err := im.New(imtest.BearerUser, &im.Options{IO: p.io})
	switch {
	case err == nil:
		_ = hub.Close()
		return standard, true
	case standard || p.io == im.IOPortable:
		t.Errorf("the default is %v, but it cannot be asked for: %v", p.io, err)
	default:
		t.Logf("this system has no %v, and im.New says so: %v", p.io, err)
	}
	return false, false
}

// used holds that the hub has read and written as the path says. crowded says that
// rooms had four sessions and more over connections that can be taken over, for
// fewer do not share a system call.
func (p ioPath) used(t *testing.T, hub *im.Hub, crowded bool) {
	t.Helper()
	stats := hub.Stats()
	if stats.IO != p.io {
		t.Errorf("the hub uses %v, want %v", stats.IO, p.io)
	}
	if batched := stats.BatchedSends > 0; p.io != im.IOUring && batched || p.io == im.IOUring && crowded && !batched {
		t.Errorf("%d of %d sends entered the kernel together, over %v", stats.BatchedSends, stats.Sends, p.io)
	}
}
