package client

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/internal/wire"
)

// Sentinels for errors.Is. Refusals of the server are [im.Error]s: match them
// with errors.As, or with errors.Is against another one with the same code.
var (
	// ErrClosed is returned after [Client.Close].
	ErrClosed = errors.New("client: closed")
	// ErrLeft is returned by the methods of a room after [Room.Leave].
	ErrLeft = errors.New("client: the room was left")
	// ErrJoined is returned by [Client.Join] if the client is in the room already.
	ErrJoined = errors.New("client: already in this room")
	// ErrConnLost is returned by requests that are not safe to send a second
	// time: the connection ended after they were sent and before the answer.
	ErrConnLost = errors.New("client: the connection was lost before the answer")

	errDialTimeout = errors.New("no welcome from the server within DialTimeout")
	errSilent      = errors.New("the server gave no sign of life")
	errSlowWrite   = errors.New("the server took a message too slowly")
)

// wireError is the refusal that m carries.
func wireError(m *wire.Message, fallback im.Code) *im.Error {
	code := im.Code(m.Code)
	if code == "" {
		code = fallback
	}
	return &im.Error{Code: code, Reason: m.Reason, RetryAfter: time.Duration(m.Retry) * time.Millisecond}
}

// codes are those that end a connection, so that its close code or HTTP status
// can be read back. Where two share one, the first is meant.
var codes = [...]im.Code{
	im.CodeBadRequest, im.CodeUnauthorized, im.CodeExpired, im.CodeForbidden, im.CodeNotFound,
	im.CodeConflict, im.CodeRoomClosed, im.CodeKicked, im.CodeTooLarge, im.CodeRateLimited,
	im.CodeOverloaded, im.CodeTimeout, im.CodeSlowConsumer, im.CodeShutdown, im.CodeInternal,
}

// closeError reads a WebSocket close code back. Codes that are not in the
// protocol's table mean nothing but a lost connection.
func closeError(code int, reason string) error {
	i := slices.IndexFunc(codes[:], func(c im.Code) bool { return c.CloseCode() == code })
	if i < 0 {
		return fmt.Errorf("closed with code %d: %q", code, reason)
	}
	return &im.Error{Code: codes[i], Reason: reason}
}

// statusError reads the HTTP status of a refused handshake back.
func statusError(status int, reason string, after time.Duration) error {
	i := slices.IndexFunc(codes[:], func(c im.Code) bool { return c.HTTPStatus() == status })
	switch {
	case status == 503:
		return &im.Error{Code: im.CodeOverloaded, Reason: reason, RetryAfter: after}
	case i >= 0:
		return &im.Error{Code: codes[i], Reason: reason, RetryAfter: after}
	case status >= 500:
		return &im.Error{Code: im.CodeInternal, Reason: reason, RetryAfter: after}
	}
	return &im.Error{Code: im.CodeBadRequest, Reason: reason}
}

// verdict decides what follows the end of a connection, or a failed attempt:
// whether it is for good, and if not how long the server asks to wait. renewed says that
// the token was new already, or that there is none.
func verdict(err error, renewed bool) (final bool, advice time.Duration) {
	var e *im.Error
	if !errors.As(err, &e) {
		return false, 0
	}
	switch e.Code.Retry() {
	case im.RetryNever:
		return true, 0
	case im.RetryWithToken:
		return renewed, e.RetryAfter
	}
	return false, e.RetryAfter
}
