//go:build linux

package load

import (
	"bytes"
	"compress/flate"
	"fmt"
	"hash/maphash"
	"io"
)

// memo knows what is in compressed messages that were seen before: thousands of
// clients get the same bytes, and inflating them for each would take more than the
// server does. The zero value is ready.
type memo struct {
	seed     maphash.Seed
	known    map[uint64]memoized
	reader   io.ReadCloser
	inflated bytes.Buffer
	misses   uint64
}

type memoized struct {
	size int
	all  []stamp
}

const (
	// mostKnown messages are remembered; then the memo begins anew. What is published in a
	// second is looked at within a second, so that little is inflated twice.
	mostKnown = 1 << 14
	// mostInflated bounds a message, so that a broken server cannot take all memory.
	mostInflated = 64 << 20
)

// stamps returns the stamps of the messages in a compressed message. The caller must not
// keep them.
func (m *memo) stamps(p []byte, skip int) ([]stamp, error) {
	if m.known == nil {
		m.seed, m.known = maphash.MakeSeed(), map[uint64]memoized{}
	}
	key := maphash.Bytes(m.seed, p)
	if e, ok := m.known[key]; ok && e.size == len(p) {
		return e.all, nil
	}
	plain, err := m.inflate(p)
	if err != nil {
		return nil, err
	}
	all, _ := stamps(nil, plain, skip, false)
	if len(m.known) >= mostKnown {
		clear(m.known)
	}
	m.known[key] = memoized{len(p), all}
	m.misses++
	return all, nil
}

// inflate returns what a compressed message holds, until the next call.
func (m *memo) inflate(p []byte) ([]byte, error) {
	// The four bytes that a sender leaves out, and an empty last block.
	src := io.MultiReader(bytes.NewReader(p), bytes.NewReader([]byte("\x00\x00\xff\xff\x01\x00\x00\xff\xff")))
	if m.reader == nil {
		m.reader = flate.NewReader(src)
	} else if err := m.reader.(flate.Resetter).Reset(src, nil); err != nil {
		return nil, err
	}
	m.inflated.Reset()
	if _, err := m.inflated.ReadFrom(io.LimitReader(m.reader, mostInflated)); err != nil {
		return nil, fmt.Errorf("a compressed message cannot be inflated by itself; the server must not take over the context: %w", err)
	}
	return m.inflated.Bytes(), nil
}
