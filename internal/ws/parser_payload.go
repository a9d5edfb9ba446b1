package ws

import (
	"errors"
	"time"
	"unicode/utf8"
)

// readPayload takes as much of the current frame's payload from data as there
// is, and finishes the frame if that was the rest of it.
func (p *Parser) readPayload(now time.Time, data []byte, h Handler) ([]byte, error) {
	n := len(data)
	if uint64(n) > p.left {
		n = int(p.left)
	}
	chunk, data := data[:n:n], data[n:]
	if p.role == ServerRole {
		Mask(p.key, int(p.offset), chunk)
		p.offset = uint8(int(p.offset)+n) & 3
	}
	p.left -= uint64(n)
	p.inPayload = p.left > 0
	if p.op.isControl() {
		return data, p.controlChunk(now, chunk, h)
	}
	return data, p.messageChunk(chunk, h)
}

func (p *Parser) controlChunk(now time.Time, chunk []byte, h Handler) error {
	if p.control == nil && !p.inPayload {
		return p.finishControl(now, chunk, h)
	}
	if p.control == nil {
		p.control = getControlBuffer()
	}
	p.control.n += uint8(copy(p.control.b[p.control.n:], chunk))
	if p.inPayload {
		return nil
	}
	defer p.dropControl()
	return p.finishControl(now, p.control.b[:p.control.n], h)
}

func (p *Parser) finishControl(now time.Time, payload []byte, h Handler) error {
	if p.messageOp == OpContinuation {
		p.pending = false
	}
	if p.op == OpClose {
		code, reason, violated := parseClose(payload)
		if violated != nil {
			return violated
		}
		p.closed = true
		p.dropMessage()
		p.pending = false
		return h.Close(code, reason)
	}
	if !p.limits.allowControl(&p.tokens, sinceStart(now)) {
		return &CloseError{ClosePolicyViolation, "send fewer ping and pong frames"}
	}
	if p.op == OpPing {
		return h.Ping(payload)
	}
	return h.Pong(payload)
}

func (p *Parser) messageChunk(chunk []byte, h Handler) error {
	last := !p.inPayload && p.fin
	if p.message == nil && last {
		return p.finishMessage(chunk, h)
	}
	if p.checksText() && !p.text.feed(chunk) {
		return errNotUTF8()
	}
	if err := p.store(chunk); err != nil {
		return err
	}
	if !last {
		return nil
	}
	if p.checksText() && !p.text.complete() {
		return errNotUTF8()
	}
	if p.message == nil {
		return p.finishMessage(nil, h)
	}
	defer p.dropMessage()
	return p.finishMessage(p.message.b, h)
}

// checksText reports whether the payload is to be validated as it arrives.
func (p *Parser) checksText() bool { return p.messageOp == OpText && !p.compressed }

// store appends chunk to the message. The buffer grows with what has arrived,
// never with what a header declares. It is filled to its capacity before it
// grows, so that where a bomb is looked for does not depend on how the data was
// split.
func (p *Parser) store(chunk []byte) error {
	for len(chunk) > 0 {
		if p.message == nil || len(p.message.b) == cap(p.message.b) {
			if err := p.grow(); err != nil {
				return err
			}
		}
		buf := p.message
		n := min(len(chunk), cap(buf.b)-len(buf.b))
		buf.b = append(buf.b, chunk[:n]...)
		chunk = chunk[n:]
	}
	return nil
}

// grow doubles the message's buffer. A compressed message that already inflates
// beyond the limit is refused here, before more is kept of it.
func (p *Parser) grow() error {
	if p.message == nil {
		p.message = getBuffer(1)
		return nil
	}
	if p.compressed && isBomb(p.message.b, p.limits.maxMessage()) {
		return errMessageTooBig()
	}
	size := uint64(2 * cap(p.message.b))
	size = min(size, p.limits.maxWire(p.compressed))
	p.message = moveBuffer(p.message, int(size))
	return nil
}

// finishMessage hands a whole message over, inflating it first if need be. Text
// that was not validated as it arrived is validated now.
func (p *Parser) finishMessage(payload []byte, h Handler) error {
	op := p.messageOp
	if p.compressed {
		inflated, err := inflate(payload, p.limits.maxMessage())
		if errors.Is(err, errTooBig) {
			return errMessageTooBig()
		}
		if err != nil {
			return &CloseError{CloseInvalidPayload, "compress messages as RFC 7692 says, without context takeover"}
		}
		defer inflated.release()
		payload = inflated.bytes()
	}
	if op == OpText && (p.compressed || p.message == nil) && !utf8.Valid(payload) {
		return errNotUTF8()
	}
	p.messageOp, p.pending = OpContinuation, false
	return h.Message(op, payload)
}

func errNotUTF8() *CloseError {
	return &CloseError{CloseInvalidPayload, "encode text messages as UTF-8, or send binary ones"}
}
