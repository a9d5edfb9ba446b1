//go:build linux

package storage

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/liveim/im"
	"golang.org/x/sys/unix"
)

// rawStore is the least that can be done: it writes the bytes of events and has them synced. It knows no rooms and reads nothing;
// one goroutine uses it.
type rawStore struct {
	file  *os.File
	at    int64
	size  int64 // that was written before; 0 if the file grows
	block []byte
}

// openRaw opens a file that grows, or one that was written before: then the file system has nothing of its own to write.
func openRaw(filled bool) func(string) (Store, error) {
	return func(dir string) (Store, error) {
		f, err := os.Create(filepath.Join(dir, "raw"))
		if err != nil {
			return nil, err
		}
		s := &rawStore{file: f}
		if filled {
			s.size = 64 << 20
			zeros := make([]byte, 1<<20)
			for range s.size / int64(len(zeros)) {
				if _, err := f.Write(zeros); err != nil {
					return nil, err
				}
			}
			if err := f.Sync(); err != nil {
				return nil, err
			}
		}
		return s, nil
	}
}

func (s *rawStore) Append(_ context.Context, _ string, e *im.Event) error {
	return s.Fill("", []*im.Event{e})
}

// Fill writes all events at once, and syncs once.
func (s *rawStore) Fill(_ string, events []*im.Event) error {
	s.block = s.block[:0]
	for _, e := range events {
		s.block = encode(s.block, e)
	}
	if s.size > 0 && s.at+int64(len(s.block)) > s.size {
		s.at = 0
	}
	if _, err := s.file.WriteAt(s.block, s.at); err != nil {
		return err
	}
	s.at += int64(len(s.block))
	return unix.Fdatasync(int(s.file.Fd()))
}

func (s *rawStore) Bounds(string) (first, last uint64, err error) { return 0, 0, errors.ErrUnsupported }

func (s *rawStore) Page(string, uint64, int, bool) ([]*im.Event, error) {
	return nil, errors.ErrUnsupported
}

func (s *rawStore) Close() error { return s.file.Close() }
