//go:build linux

package load

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// Opcodes and bits of a frame's head.
const (
	opContinuation, opText, opBinary  = 0, 1, 2
	opClose, opPing, opPong           = 8, 9, 10
	finBit, compressedBit, opcodeMask = 0x80, 0x40, 0x0f
)

// keep is more than a scanner leaves of what it was given: a control frame without its
// last byte. The numbers of a cut message are shorter.
const keep = 128

// scanner takes the frames of one connection apart, wherever the stream is cut, and counts
// the messages in them. Messages that have to be whole, because they are compressed or come in
// parts or because the client is not in its room yet, are put together first; of all
// others nothing is kept but the few bytes in which a marker may be cut.
type scanner struct {
	got    uint64
	sample *sample // nil: only count

	left    int  // bytes of the payload at hand that are not done with
	payload bool // inside of the payload of a data frame
	open    bool // a message goes on in the next frame
	whole   bool // the message is put together
	deflate bool // was agreed

	compressed bool   // the message is
	message    []byte // what was put together
	joined     string // until this is in a message nothing is counted; empty: the client is in
	pong       func(payload []byte) error
}

// take looks at what has come and returns how much of it is done with. The rest, less
// than keep bytes, must be there again the next time, with what comes after it.
func (s *scanner) take(t *tally, b []byte) (used int, err error) {
	for {
		var n int
		if s.payload {
			n, err = s.data(t, b[used:])
			if used += n; err != nil || s.payload {
				return used, err
			}
			continue
		}
		n, err = s.head(b[used:])
		if used += n; err != nil || n == 0 {
			return used, err
		}
	}
}

// head reads the head of a frame, and all of a control frame. It returns 0 if that is
// not here yet.
func (s *scanner) head(b []byte) (used int, err error) {
	if len(b) < 2 {
		return 0, nil
	}
	op, size, used := b[0]&opcodeMask, int(b[1]), 2
	switch {
	case size >= 128:
		return 0, errors.New("the server masks its frames")
	case size == 126:
		if used = 4; len(b) < used {
			return 0, nil
		}
		size = int(binary.BigEndian.Uint16(b[2:]))
	case size == 127:
		if used = 10; len(b) < used {
			return 0, nil
		}
		long := binary.BigEndian.Uint64(b[2:])
		if long > 1<<40 {
			return 0, fmt.Errorf("a frame of %d bytes", long)
		}
		size = int(long)
	}
	if op < opClose {
		return used, s.begin(op, b[0]&finBit != 0, b[0]&compressedBit != 0, size)
	}
	if size > 125 {
		return 0, fmt.Errorf("a control frame of %d bytes", size)
	}
	if len(b) < used+size {
		return 0, nil
	}
	return used + size, s.control(op, b[used:used+size])
}

// begin prepares for the payload of a data frame.
func (s *scanner) begin(op byte, fin, compressed bool, size int) error {
	switch {
	case op > opBinary:
		return fmt.Errorf("a frame with opcode %d", op)
	case (op == opContinuation) != s.open:
		return fmt.Errorf("a frame with opcode %d in the wrong place", op)
	case compressed && (op == opContinuation || !s.deflate):
		return errors.New("a compressed frame that was not agreed on")
	}
	if op != opContinuation {
		s.compressed, s.message = compressed, s.message[:0]
		s.whole = !fin || compressed || s.joined != ""
	}
	s.payload, s.left, s.open = true, size, !fin
	return nil
}

func (s *scanner) control(op byte, payload []byte) error {
	switch {
	case op == opClose && len(payload) >= 2:
		return fmt.Errorf("the server closed the connection: %d %s", binary.BigEndian.Uint16(payload), payload[2:])
	case op == opClose:
		return errors.New("the server closed the connection")
	case op == opPing && s.pong != nil:
		return s.pong(payload)
	}
	return nil
}

// data takes what is here of the payload of a data frame.
func (s *scanner) data(t *tally, b []byte) (used int, err error) {
	p := b[:min(s.left, len(b))]
	more := len(p) < s.left
	s.payload = more
	if !s.whole {
		used = t.take(&s.got, s.sample, p, more)
		s.left -= used
		return used, nil
	}
	s.left -= len(p)
	used = len(p)
	if more || s.open || len(s.message) > 0 {
		s.message = append(s.message, p...)
		p = s.message
	}
	if more || s.open {
		return used, nil
	}
	err = s.deliver(t, p)
	s.message = s.message[:0]
	return used, err
}

// deliver takes a message that is whole.
func (s *scanner) deliver(t *tally, p []byte) (err error) {
	if s.joined != "" {
		if s.compressed {
			if p, err = t.memo.inflate(p); err != nil {
				return err
			}
		}
		if bytes.Contains(p, []byte(s.joined)) {
			s.joined = ""
		}
		return nil
	}
	if !s.compressed {
		t.take(&s.got, s.sample, p, false)
		return nil
	}
	all, err := t.memo.stamps(p, t.skip)
	t.add(&s.got, s.sample, all)
	return err
}
