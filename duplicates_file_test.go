package im_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/liveim/im/storage/filelog"

	"github.com/liveim/im"
)

// restartingLog is a file log that ends and begins again in the same directory: closed, or as the end of its process
// leaves it, by turns.
type restartingLog struct {
	t    *testing.T
	dir  string
	log  *filelog.Log
	ends int
}

func (r *restartingLog) open() im.Log {
	log, err := filelog.Open(r.dir, &filelog.Options{SegmentBytes: 1 << 20}) // small: most ids are in sealed segments
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = log.Close() })
	r.log = log
	return log
}

func (r *restartingLog) reopen() im.Log {
	before := filepath.Join(r.t.TempDir(), "before")
	killed := r.ends%2 == 0
	r.ends++
	if killed {
		r.copyTo(before)
	}
	if err := r.log.Close(); err != nil {
		r.t.Fatal(err)
	}
	if killed {
		if err := errors.Join(os.RemoveAll(r.dir), os.Rename(before, r.dir)); err != nil {
			r.t.Fatal(err)
		}
	}
	log := r.open()
	if d := r.log.Damage(); len(d) > 0 {
		r.t.Errorf("the end left damage: %v", d)
	}
	return log
}

// copyTo copies the directory as it is on the way. Nothing is appended meanwhile, but segments may be sealed, and a
// file be gone for that: then the copy is made anew.
func (r *restartingLog) copyTo(to string) {
	for {
		err := os.CopyFS(to, os.DirFS(r.dir))
		if err == nil {
			return
		}
		if !errors.Is(err, fs.ErrNotExist) {
			r.t.Fatal(err)
		}
		if err := os.RemoveAll(to); err != nil {
			r.t.Fatal(err)
		}
	}
}
