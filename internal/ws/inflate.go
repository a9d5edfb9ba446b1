package ws

import (
	"errors"
	"io"
	"sync"

	"github.com/klauspost/compress/flate"
)

const (
	// syncTail is what the sender of a compressed message removed
	// (RFC 7692 section 7.2.1).
	syncTail = "\x00\x00\xff\xff"
	// finalTail ends the stream after it with an empty final block.
	finalTail = "\x01\x00\x00\xff\xff"
	// windowSize is how far back a DEFLATE stream can refer, in bytes.
	windowSize = 32 << 10
	// maxStreams bounds how often a message may end its stream with a final
	// block and start another (RFC 7692 section 7.2.1 allows it). A restart
	// costs more than the two bytes it takes on the wire.
	maxStreams = 8
)

var (
	errTooBig  = errors.New("message inflates beyond its limit")
	errCorrupt = errors.New("message is no DEFLATE stream")
)

var inflaterPool sync.Pool

// inflater decompresses one message, then goes back to the pool by release.
type inflater struct {
	src   inflateSource
	flate io.ReadCloser
	out   *buffer // nil while nothing came out, and when only counting
	n     int     // bytes that came out
	limit int     // bytes that may come out
	count bool    // count the output and drop it
}

func getInflater(limit int) *inflater {
	f, ok := inflaterPool.Get().(*inflater)
	if !ok {
		f = &inflater{}
		f.flate = flate.NewReader(&f.src)
	}
	f.limit = limit
	return f
}

// release returns f and its output buffer to their pools. It is safe to call
// on nil.
func (f *inflater) release() {
	if f == nil {
		return
	}
	if f.out != nil {
		putBuffer(f.out)
	}
	*f = inflater{flate: f.flate}
	inflaterPool.Put(f)
}

// inflate decompresses one message of at most limit bytes. The result is valid
// until the inflater is released, which the caller does if there is no error.
// Errors are errTooBig and errCorrupt.
func inflate(payload []byte, limit int) (*inflater, error) {
	f := getInflater(limit)
	f.src.reset(payload, syncTail+finalTail)
	if err := f.run(); err != nil {
		f.release()
		return nil, err
	}
	return f, nil
}

// isBomb reports whether the start of a compressed message already inflates
// beyond limit bytes. Nothing is stored.
func isBomb(start []byte, limit int) bool {
	f := getInflater(limit)
	defer f.release()
	f.count = true
	f.src.reset(start, "")
	return errors.Is(f.runStream(nil), errTooBig)
}

func (f *inflater) bytes() []byte {
	if f.out == nil {
		return nil
	}
	return f.out.b
}

func (f *inflater) run() error {
	for range maxStreams {
		out := f.bytes()
		if err := f.runStream(out[max(0, len(out)-windowSize):]); err != nil {
			return err
		}
		// Bytes after a final block are the next block. An input that ends
		// with one, though it should have added a 0x00, is taken as well.
		if len(f.src.data) == 0 {
			return nil
		}
	}
	return errCorrupt
}

// runStream inflates up to and including the first final block. window is what
// the stream may refer back to.
func (f *inflater) runStream(window []byte) error {
	if err := f.flate.(flate.Resetter).Reset(&f.src, window); err != nil {
		return errCorrupt
	}
	switch _, err := f.flate.(io.WriterTo).WriteTo(f); {
	case err == nil:
		return nil
	case errors.Is(err, errTooBig):
		return errTooBig
	}
	return errCorrupt
}

// Write implements io.Writer for the decompressor, which calls it with at most
// one window at a time.
func (f *inflater) Write(p []byte) (int, error) {
	if len(p) > f.limit-f.n {
		return 0, errTooBig
	}
	f.n += len(p)
	if f.count {
		return len(p), nil
	}
	if f.out == nil || cap(f.out.b)-len(f.out.b) < len(p) {
		f.out = moveBuffer(f.out, f.room(f.n))
	}
	f.out.b = append(f.out.b, p...)
	return len(p), nil
}

// room returns the capacity to grow to for n bytes. Growing by four, and to the
// limit at once when near it, keeps the sum of all capacities, and so what a
// bomb can make us allocate, below twice the limit.
func (f *inflater) room(n int) int {
	switch {
	case n <= 4<<10:
		return n
	case n >= f.limit/8:
		return f.limit
	}
	return 4 * n
}

// inflateSource reads data, then tail. It is an io.ByteReader so that the
// decompressor takes no byte beyond the final block.
type inflateSource struct {
	data []byte
	tail string
}

func (s *inflateSource) reset(data []byte, tail string) { s.data, s.tail = data, tail }

func (s *inflateSource) Read(p []byte) (int, error) {
	n := copy(p, s.data)
	s.data = s.data[n:]
	m := copy(p[n:], s.tail)
	s.tail = s.tail[m:]
	if n+m == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n + m, nil
}

func (s *inflateSource) ReadByte() (byte, error) {
	switch {
	case len(s.data) > 0:
		c := s.data[0]
		s.data = s.data[1:]
		return c, nil
	case len(s.tail) > 0:
		c := s.tail[0]
		s.tail = s.tail[1:]
		return c, nil
	}
	return 0, io.EOF
}
