package ws

import "strconv"

// Opcode is the kind of a frame (RFC 6455 section 5.2).
type Opcode byte

// The opcodes that RFC 6455 defines; all others are reserved.
const (
	OpContinuation Opcode = 0x0
	OpText         Opcode = 0x1
	OpBinary       Opcode = 0x2
	OpClose        Opcode = 0x8
	OpPing         Opcode = 0x9
	OpPong         Opcode = 0xA
)

// String returns the opcode's name in the RFC's terms.
func (op Opcode) String() string {
	switch op {
	case OpContinuation:
		return "continuation"
	case OpText:
		return "text"
	case OpBinary:
		return "binary"
	case OpClose:
		return "close"
	case OpPing:
		return "ping"
	case OpPong:
		return "pong"
	}
	return "reserved opcode " + strconv.Itoa(int(op))
}

func (op Opcode) isControl() bool { return op&0x8 != 0 }

func (op Opcode) isReserved() bool { return op&0x7 > 2 }
