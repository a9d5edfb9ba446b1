package disktest

import (
	"io"
	"io/fs"
	"math/rand/v2"
	"slices"
	"sync/atomic"
)

const sector = 512

// node is a file, whatever its names are. It is protected by FS.mu.
type node struct {
	data    []byte  // what is read
	lasting []byte  // what a loss of power leaves
	pending []write // what was done to data since
}

// write is one that was not synced. Without data it sets the size.
type write struct {
	offset int64
	data   []byte
}

func (w write) apply(to []byte) []byte {
	if w.data == nil {
		return resize(to, w.offset)
	}
	to = resize(to, max(int64(len(to)), w.offset+int64(len(w.data))))
	copy(to[w.offset:], w.data)
	return to
}

func resize(data []byte, size int64) []byte {
	if size <= int64(len(data)) {
		return data[:size]
	}
	old := len(data)
	data = slices.Grow(data, int(size)-old)[:size]
	clear(data[old:])
	return data
}

func (n *node) do(w write) {
	n.data = w.apply(n.data)
	n.pending = append(n.pending, w)
}

func (n *node) sync() {
	for _, w := range n.pending {
		n.lasting = w.apply(n.lasting)
	}
	n.pending = nil
}

// crash returns what the node is after a loss of power.
func (n *node) crash(r *rand.Rand) *node {
	data := slices.Clone(n.lasting)
	for _, w := range n.pending {
		if r == nil {
			break
		}
		switch whole := r.IntN(3); {
		case whole == 0:
		case whole == 1 || w.data == nil:
			data = w.apply(data)
		default:
			data = tear(data, w, r)
		}
	}
	return &node{data: data, lasting: slices.Clone(data)}
}

// tear applies some sectors of a write.
func tear(data []byte, w write, r *rand.Rand) []byte {
	for at := int64(0); at < int64(len(w.data)); {
		end := min((w.offset+at)/sector*sector+sector-w.offset, int64(len(w.data)))
		if r.IntN(2) == 0 {
			data = write{w.offset + at, w.data[at:end]}.apply(data)
		}
		at = end
	}
	return data
}

// file is an open file.
type file struct {
	fs     *FS
	node   *node
	name   string
	writes bool
	closed atomic.Bool
}

func (f *file) begin(op Op) (int, error) {
	short, err := f.fs.begin(op, f.name)
	switch {
	case f.closed.Load():
		return 0, &fs.PathError{Op: opNames[op], Path: f.name, Err: fs.ErrClosed}
	case err == nil && op != Read && !f.writes:
		return 0, &fs.PathError{Op: opNames[op], Path: f.name, Err: fs.ErrPermission}
	}
	return short, err
}

func (f *file) ReadAt(p []byte, offset int64) (int, error) {
	short, err := f.begin(Read)
	defer f.fs.mu.Unlock()
	if err != nil {
		p = p[:min(short, len(p))]
	}
	if offset >= int64(len(f.node.data)) {
		return 0, firstOf(err, io.EOF)
	}
	n := copy(p, f.node.data[offset:])
	if n < len(p) {
		err = firstOf(err, io.EOF)
	}
	return n, err
}

func firstOf(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

func (f *file) WriteAt(p []byte, offset int64) (int, error) {
	short, err := f.begin(Write)
	defer f.fs.mu.Unlock()
	if err != nil {
		p = p[:min(short, len(p))]
	}
	added := offset + int64(len(p)) - int64(len(f.node.data))
	if over := added - f.fs.room(); err == nil && added > 0 && over > 0 {
		p, err = p[:max(0, int64(len(p))-over)], noSpace(f.name)
	}
	if len(p) > 0 {
		f.node.do(write{offset, slices.Clone(p)})
	}
	return len(p), err
}

func (f *file) Sync() error {
	_, err := f.begin(Sync)
	defer f.fs.mu.Unlock()
	if err != nil {
		f.node.pending = nil
		return err
	}
	f.node.sync()
	return nil
}

func (f *file) Truncate(size int64) error {
	_, err := f.begin(Truncate)
	defer f.fs.mu.Unlock()
	if err != nil {
		return err
	}
	f.node.do(write{offset: size})
	return nil
}

func (f *file) Size() (int64, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.fs.off {
		return 0, errOff
	}
	if f.closed.Load() {
		return 0, &fs.PathError{Op: "stat", Path: f.name, Err: fs.ErrClosed}
	}
	return int64(len(f.node.data)), nil
}

func (f *file) Close() error {
	if f.closed.Swap(true) {
		return &fs.PathError{Op: "close", Path: f.name, Err: fs.ErrClosed}
	}
	return nil
}
