package ws

import (
	"errors"
	"time"
)

// Role says which side of the connection a [Parser] reads for.
type Role uint8

const (
	// ServerRole reads what a client sends: every frame must be masked.
	ServerRole Role = iota
	// ClientRole reads what a server sends: no frame may be masked.
	ClientRole
)

// ErrReleased is returned by [Parser.Feed] after [Parser.Release]. Call
// [Parser.Init] to use the parser for another connection.
var ErrReleased = errors.New("ws: parser is released; call Init before feeding it again")

// Handler receives what a [Parser] finds, in the order in which it arrived.
// Its methods are called by Feed, on Feed's goroutine, and must not call the
// parser. A payload is valid only during the call, and the handler may write
// to it. An error ends the parser and is returned by Feed as it is.
type Handler interface {
	// Message receives one whole message. op is OpText, whose payload is valid
	// UTF-8, or OpBinary.
	Message(op Opcode, payload []byte) error
	// Ping receives the payload of a ping, at most 125 bytes. The peer expects
	// a pong with the same payload.
	Ping(payload []byte) error
	// Pong receives the payload of a pong, at most 125 bytes.
	Pong(payload []byte) error
	// Close receives the peer's close frame; nothing is called after it. code
	// is CloseNoStatus when the frame had none.
	Close(code CloseCode, reason string) error
}

// Parser turns the bytes of one direction of a connection into messages. It is
// pushed the bytes by Feed as they come, in any pieces, and keeps what it needs
// of a frame or message until the rest arrives; between messages it owns no
// buffer. The owner asks Overdue now and then, and calls Release at the end.
//
// The zero value is a server's parser with default limits and without
// compression. A Parser is not safe for concurrent use and must not be copied
// after its first Feed.
type Parser struct {
	limits *Limits
	err    error // what Feed returns from now on

	since   time.Duration // when the first byte of what is pending arrived, since start
	tokens  time.Duration // control frame bucket, since start; see Limits.allowControl
	message *buffer       // payload of the pending message; nil while it has none
	control *controlBuffer

	left   uint64 // payload bytes of the current frame still to come
	frames uint32 // frames of the current message, this one included
	header [maxHeader]byte
	have   uint8 // bytes in header
	key    [4]byte
	offset uint8 // payload bytes of the current frame so far, modulo 4

	role      Role
	op        Opcode // of the current frame
	messageOp Opcode // of the current message; OpContinuation if there is none
	text      utf8State

	deflate    bool // permessage-deflate was negotiated
	compressed bool // the current message is compressed
	fin        bool // the current frame is final
	inPayload  bool // the header is complete, the payload is not
	pending    bool // something is half received, since is set
	closed     bool // the close frame has arrived
}

// NewParser returns a parser; see [Parser.Init] for the parameters.
func NewParser(role Role, limits *Limits, deflate bool) *Parser {
	p := new(Parser)
	p.Init(role, limits, deflate)
	return p
}

// Init makes p ready for a new connection, for parsers that are part of a
// larger struct. limits may be nil for the defaults and is shared, not copied.
// deflate is whether the handshake negotiated permessage-deflate. A parser that
// was fed must be released first.
func (p *Parser) Init(role Role, limits *Limits, deflate bool) {
	*p = Parser{role: role, limits: limits, deflate: deflate}
}

// Feed consumes all of data, which arrived at now, and calls h for everything
// that is complete with it. It may unmask data in place, and does not keep it.
// An unfragmented message that lies whole in data is passed to h without a copy
// or an allocation.
//
// The error is a *[CloseError] with the code to close with if the peer broke
// the protocol or a limit, or else what h returned. After an error the parser
// holds no buffer, and Feed returns the same error again. After a close frame
// Feed ignores data and returns nil (RFC 6455 section 5.5.1).
//
// now must not go backwards between calls.
func (p *Parser) Feed(now time.Time, data []byte, h Handler) error {
	if p.err != nil || p.closed {
		return p.err
	}
	if p.Overdue(now) {
		return p.fail(&CloseError{ClosePolicyViolation, "finish each message sooner, or send smaller ones"})
	}
	for len(data) > 0 && !p.closed {
		if !p.inPayload {
			var violated *CloseError
			if data, violated = p.readHeader(data); violated != nil {
				return p.fail(violated)
			}
			if !p.inPayload {
				break
			}
		}
		var err error
		if data, err = p.readPayload(now, data, h); err != nil {
			return p.fail(err)
		}
	}
	if !p.pending && p.isPartial() {
		p.pending, p.since = true, sinceStart(now)
	}
	return nil
}

// Overdue reports whether a frame or message that is half received at now has
// been so for longer than [Limits.MaxAssembly]. Feed checks it too, but a peer
// that sends nothing at all is found only by its owner asking. The answer to it
// is to close with [ClosePolicyViolation].
func (p *Parser) Overdue(now time.Time) bool {
	return p.pending && sinceStart(now)-p.since > p.limits.maxAssembly()
}

// Release gives up what is half received and returns its buffers. The parser
// can only be used again after Init. Calling it again does nothing.
func (p *Parser) Release() {
	p.drop()
	if p.err == nil {
		p.err = ErrReleased
	}
}

func (p *Parser) fail(err error) error {
	p.err = err
	p.drop()
	return err
}

// drop returns the buffers and forgets what is pending.
func (p *Parser) drop() {
	p.dropMessage()
	p.dropControl()
	p.pending = false
}

func (p *Parser) dropMessage() {
	if p.message != nil {
		putBuffer(p.message)
		p.message = nil
	}
}

func (p *Parser) dropControl() {
	if p.control != nil {
		putControlBuffer(p.control)
		p.control = nil
	}
}

// isPartial reports whether a header, a payload or a message is half received.
func (p *Parser) isPartial() bool {
	return !p.closed && (p.have > 0 || p.inPayload || p.messageOp != OpContinuation)
}
