package segment

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"syscall"
	"testing"

	"github.com/liveim/im/storage/filelog/internal/disk"
)

func soak() bool { return os.Getenv("IM_SOAK") != "" }

// places has check called with every place below n, or with every step-th without IM_SOAK, shared out to as many
// parallel subtests as there are processors. Each has a generator of its own.
func places(t *testing.T, n, usual, race int, check func(t *testing.T, r *rand.Rand, at []int)) {
	t.Helper()
	step := usual
	switch {
	case soak():
		step = 1
	case raceEnabled:
		step = race
	}
	shares := make([][]int, runtime.GOMAXPROCS(0))
	for i, at := 0, rand.New(rand.NewPCG(7, 8)).IntN(step); at < n; i, at = i+1, at+step {
		share := &shares[i%len(shares)]
		*share = append(*share, at)
	}
	// Nearly all that is read is garbage at once, and what is kept is little.
	before := debug.SetGCPercent(1000)
	t.Cleanup(func() { debug.SetGCPercent(before) })
	for i, share := range shares {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			check(t, rand.New(rand.NewPCG(13, uint64(i))), share)
		})
	}
}

// bytesFile is a disk.File and a disk.FS of one file that never changes, and costs nothing to open.
type bytesFile struct {
	disk.FS
	*bytes.Reader
}

func inBytes(b []byte) bytesFile { return bytesFile{Reader: bytes.NewReader(b)} }

func (f bytesFile) Open(string) (disk.File, error)        { return f, nil }
func (f bytesFile) WriteAt([]byte, int64) (int, error)    { return 0, syscall.EROFS }
func (f bytesFile) Sync() error                           { return syscall.EROFS }
func (f bytesFile) Truncate(int64) error                  { return syscall.EROFS }
func (f bytesFile) Size() (int64, error)                  { return f.Reader.Size(), nil }
func (f bytesFile) Close() error                          { return nil }
func (f bytesFile) ReadAt(b []byte, o int64) (int, error) { return f.Reader.ReadAt(b, o) }

// memoryFile is a disk.File and a disk.FS of one file that can be written to, and costs nothing to open.
type memoryFile struct {
	disk.FS
	data     []byte
	unsynced bool
}

func (f *memoryFile) OpenWrite(string) (disk.File, error) { return f, nil }
func (f *memoryFile) Size() (int64, error)                { return int64(len(f.data)), nil }
func (f *memoryFile) Close() error                        { return nil }

func (f *memoryFile) ReadAt(b []byte, at int64) (int, error) {
	n := copy(b, f.data[min(at, int64(len(f.data))):])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memoryFile) WriteAt(b []byte, at int64) (int, error) {
	f.unsynced = true
	f.data = slices.Clone(f.data) // the test may go on with what it gave
	if more := at + int64(len(b)) - int64(len(f.data)); more > 0 {
		f.data = append(f.data, make([]byte, more)...)
	}
	return copy(f.data[at:], b), nil
}

func (f *memoryFile) Truncate(size int64) error {
	f.unsynced = true
	f.data = f.data[:size]
	return nil
}

func (f *memoryFile) Sync() error {
	f.unsynced = false
	return nil
}

var _ io.ReaderAt = bytesFile{}
