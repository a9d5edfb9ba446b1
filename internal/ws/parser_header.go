package ws

import (
	"encoding/binary"
	"math"
)

// readHeader takes the rest of a frame header from data. The header is judged
// as soon as each of its parts is there, so that the outcome does not depend on
// how it was split.
func (p *Parser) readHeader(data []byte) ([]byte, *CloseError) {
	for {
		want := p.headerWant()
		n := copy(p.header[p.have:want], data)
		p.have += uint8(n)
		data = data[n:]
		if p.have < want {
			return data, nil
		}
		var violated *CloseError
		switch want {
		case 1:
			violated = p.checkFirstByte()
		case 2:
			violated = p.checkSecondByte()
		}
		if violated != nil {
			return nil, violated
		}
		if p.have >= 2 && p.have == p.lengthEnd() {
			if violated = p.checkLength(); violated != nil {
				return nil, violated
			}
		}
		if p.have >= 2 && p.have == p.headerEnd() {
			p.beginPayload()
			return data, nil
		}
	}
}

// headerWant returns the header size at which something more can be judged.
func (p *Parser) headerWant() uint8 {
	switch {
	case p.have < 2:
		return p.have + 1
	case p.have < p.lengthEnd():
		return p.lengthEnd()
	}
	return p.headerEnd()
}

// lengthEnd returns where the payload length ends in a header of two bytes or
// more.
func (p *Parser) lengthEnd() uint8 {
	switch p.header[1] &^ bitMask {
	case len16:
		return 4
	case len64:
		return 10
	}
	return 2
}

func (p *Parser) headerEnd() uint8 {
	if p.role == ServerRole {
		return p.lengthEnd() + 4
	}
	return p.lengthEnd()
}

func (p *Parser) checkFirstByte() *CloseError {
	first := p.header[0]
	p.op, p.fin = Opcode(first&0xF), first&bitFin != 0
	rsv := first & bitRSV
	starts := p.op == OpText || p.op == OpBinary
	switch {
	case p.op.isReserved():
		return violation("send no frame with a reserved opcode")
	case rsv != 0 && (rsv != bitRSV1 || !p.deflate || !starts):
		return violation("clear the reserved bits, except RSV1 on the first frame of a compressed message")
	case p.op.isControl():
		if !p.fin {
			return violation("send control frames unfragmented")
		}
		return nil
	case starts && p.messageOp != OpContinuation:
		return violation("finish a fragmented message before starting another")
	case !starts && p.messageOp == OpContinuation:
		return violation("start a message with a text or binary frame, not with a continuation")
	}
	if starts {
		p.messageOp, p.compressed, p.frames = p.op, rsv != 0, 0
		p.text = utf8State{}
	}
	p.frames++
	if int64(p.frames) > int64(p.limits.maxFrames()) {
		return &CloseError{CloseMessageTooBig, "send the message in fewer frames"}
	}
	return nil
}

func (p *Parser) checkSecondByte() *CloseError {
	second := p.header[1]
	masked := second&bitMask != 0
	switch {
	case p.role == ServerRole && !masked:
		return violation("mask every frame that a client sends")
	case p.role == ClientRole && masked:
		return violation("mask no frame that a server sends")
	case p.op.isControl() && second&^bitMask > maxControl:
		return violation("keep control frames to 125 bytes")
	}
	return nil
}

// checkLength decodes the payload length and refuses it before anything is
// allocated for it. It stays a uint64 until it is known to be small.
func (p *Parser) checkLength() *CloseError {
	length := uint64(p.header[1] &^ bitMask)
	switch length {
	case len16:
		length = uint64(binary.BigEndian.Uint16(p.header[2:]))
		if length < len16 {
			return violation("encode the payload length in the fewest bytes")
		}
	case len64:
		length = binary.BigEndian.Uint64(p.header[2:])
		if length > math.MaxInt64 {
			return violation("clear the top bit of a 64-bit payload length")
		}
		if length <= math.MaxUint16 {
			return violation("encode the payload length in the fewest bytes")
		}
	}
	if !p.op.isControl() && length > p.limits.maxWire(p.compressed)-p.received() {
		return errMessageTooBig()
	}
	p.left = length
	return nil
}

// received returns how many payload bytes the current message has so far.
func (p *Parser) received() uint64 {
	if p.message == nil {
		return 0
	}
	return uint64(len(p.message.b))
}

func (p *Parser) beginPayload() {
	if p.role == ServerRole {
		copy(p.key[:], p.header[p.have-4:p.have])
	}
	p.have, p.offset, p.inPayload = 0, 0, true
}

func errMessageTooBig() *CloseError {
	return &CloseError{CloseMessageTooBig, "send smaller messages"}
}
