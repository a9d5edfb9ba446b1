package segment

import (
	"errors"
	"fmt"
	"io"
)

type readerAt = io.ReaderAt

// readFull fills b or fails. A file that ends early is damaged.
func readFull(r readerAt, b []byte, offset int64) error {
	n, err := r.ReadAt(b, offset)
	switch {
	case n == len(b):
		return nil
	case err == nil || errors.Is(err, io.EOF):
		return fmt.Errorf("the file ends at %d: %w", offset+int64(n), ErrDamaged)
	}
	return err
}

const (
	windowBytes = 256 << 10
	pageBytes   = 4 << 10
	sectorBytes = 512 // what a disk writes as a whole
)

// window reads a file from its start to its end, a part at a time. What cannot be read it takes for zeros and remembers,
// so that one bad sector costs no more than damage does.
type window struct {
	r     readerAt
	size  int64
	at    int64
	buf   []byte
	fails []readFailure
}

type readFailure struct {
	offset, length int64
	err            error
}

func newWindow(r readerAt, size int64) *window { return &window{r: r, size: size} }

// upTo returns the n bytes at offset, or fewer where the file ends. They are good until the next call.
func (w *window) upTo(offset int64, n int) []byte {
	if offset < 0 || offset >= w.size {
		return nil
	}
	n = int(min(int64(n), w.size-offset))
	if offset < w.at || offset+int64(n) > w.at+int64(len(w.buf)) {
		w.fill(offset, n)
	}
	from := int(offset - w.at)
	return w.buf[from : from+n]
}

// ahead returns at least one byte from offset on, as many as are at hand.
func (w *window) ahead(offset int64) []byte {
	if len(w.upTo(offset, frameHead)) == 0 {
		return nil
	}
	return w.buf[offset-w.at:]
}

func (w *window) fill(offset int64, n int) {
	n = int(min(int64(max(n, windowBytes)), w.size-offset))
	if cap(w.buf) < n || cap(w.buf) > 4*windowBytes && n <= windowBytes {
		w.buf = make([]byte, n)
	}
	w.at, w.buf = offset, w.buf[:n]
	if err := readFull(w.r, w.buf, offset); err == nil {
		return
	}
	for i := 0; i < n; i += pageBytes {
		page := w.buf[i:min(i+pageBytes, n)]
		if err := readFull(w.r, page, offset+int64(i)); err != nil {
			clear(page)
			w.fails = append(w.fails, readFailure{offset + int64(i), int64(len(page)), err})
		}
	}
}

// failure returns the error of reading something of a range, if there was one.
func (w *window) failure(offset, length int64) error {
	for _, f := range w.fails {
		if f.offset < offset+length && offset < f.offset+f.length {
			return f.err
		}
	}
	return nil
}
