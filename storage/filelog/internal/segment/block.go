package segment

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"sync"

	"github.com/klauspost/compress/s2"
)

// The codecs of a block. Its payload is the codec, how long the records are, and the records, encoded by it.
const (
	codecNone byte = iota
	codecS2
)

// A block may be this much longer than its payload. What compresses better is stored as it is, so that a few damaged or
// hostile bytes never ask for much memory.
const (
	blockFree  = 2 * frameBytes
	blockRatio = 64
)

func maxRaw(payload int) uint64 { return blockFree + blockRatio*uint64(payload) }

func appendBlock(b, raw []byte) []byte {
	at := len(b)
	b = append(b, codecS2)
	b = binary.AppendUvarint(b, uint64(len(raw)))
	body := len(b)
	b = append(b, make([]byte, s2.MaxEncodedLen(len(raw)))...)
	b = b[:body+len(s2.EncodeBetter(b[body:], raw))]
	if size := len(b) - at; len(b)-body < len(raw) && uint64(len(raw)) <= maxRaw(size) {
		return b
	}
	b = append(b[:at], codecNone)
	b = binary.AppendUvarint(b, uint64(len(raw)))
	return append(b, raw...)
}

// decodeBlock returns the records of a block. It allocates no more than maxRaw says.
func decodeBlock(payload []byte) ([]byte, error) {
	d := decoder{b: payload}
	codec, size := d.byte(), d.uvarint()
	if d.bad {
		return nil, d.end("a block")
	}
	switch codec {
	case codecNone:
		if size == uint64(len(d.b)) {
			return d.b, nil
		}
	case codecS2:
		n, err := s2.DecodedLen(d.b)
		if err != nil || uint64(n) != size || size > maxRaw(len(payload)) {
			break
		}
		raw, err := s2.Decode(make([]byte, n), d.b)
		if err == nil {
			return raw, nil
		}
	default:
		return nil, fmt.Errorf("a block has codec %d, which this version does not know: %w", codec, ErrDamaged)
	}
	return nil, fmt.Errorf("a block does not decompress: %w", ErrDamaged)
}

// cutRecord takes a record off the front of the records of a block.
func cutRecord(raw []byte) (body, rest []byte, err error) {
	d := decoder{b: raw}
	body = d.bytes()
	if d.bad || len(body) == 0 {
		return nil, nil, fmt.Errorf("the records of a block: %w", ErrDamaged)
	}
	return body, d.b, nil
}

// part is the records of one room and epoch that lie in one block.
type part struct {
	block       uint32 // its place in directory.blocks
	start, end  uint32 // in the block's records
	first, last uint64 // their positions; 0 for records that are not events
}

var scratch = sync.Pool{New: func() any { return new([]byte) }}

// blockWriter gathers records and writes them as blocks of one kind.
type blockWriter struct {
	kind  byte
	out   *frameWriter
	raw   []byte
	parts []*part // of the block that is being gathered: their block is set when it is written
}

// add appends a record to the last of parts, or to a new one where that is in a block that is full.
func (w *blockWriter) add(parts *[]*part, body []byte, seq uint64) error {
	if len(w.raw) > 0 && len(w.raw)+len(body)+binary.MaxVarintLen32 > frameBytes {
		if err := w.flush(); err != nil {
			return err
		}
	}
	var p *part
	if n := len(*parts); n > 0 && len(w.parts) > 0 && w.parts[len(w.parts)-1] == (*parts)[n-1] {
		p = (*parts)[n-1]
	} else {
		p = &part{start: uint32(len(w.raw)), first: seq}
		*parts, w.parts = append(*parts, p), append(w.parts, p)
	}
	w.raw = appendString(w.raw, body)
	p.end, p.last = uint32(len(w.raw)), seq
	return nil
}

func (w *blockWriter) flush() error {
	if len(w.raw) == 0 {
		return nil
	}
	runtime.Gosched() // those who append come first
	buf := scratch.Get().(*[]byte)
	defer scratch.Put(buf)
	*buf = appendBlock(reserveFrame((*buf)[:0]), w.raw)
	number, err := w.out.block(w.kind, *buf)
	for _, p := range w.parts {
		p.block = number
	}
	if cap(*buf) > 16*frameBytes {
		*buf = nil
	}
	w.raw, w.parts = w.raw[:0], nil
	if cap(w.raw) > 16*frameBytes {
		w.raw = nil
	}
	return err
}
