package im

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Code says in one word why something was refused. Clients decide by it; the
// Reason of an [Error] is for people.
type Code string

// The codes that a hub sends. A host may add its own; they are treated as
// CodeForbidden is.
const (
	CodeBadRequest   Code = "bad_request"   // the request does not follow the protocol
	CodeUnauthorized Code = "unauthorized"  // no valid identity
	CodeExpired      Code = "expired"       // the identity has ended; refresh the token
	CodeForbidden    Code = "forbidden"     // this user may not do that
	CodeRoomMode     Code = "room_mode"     // the room's modes do not let this user send this now
	CodeOrigin       Code = "origin"        // the page's origin is not allowed
	CodeNotFound     Code = "not_found"     // no such path, operation or kind
	CodeNotJoined    Code = "not_joined"    // join the room first
	CodeConflict     Code = "conflict"      // lost against another write, or the id was used for something else
	CodeRoomClosed   Code = "room_closed"   // the room has ended
	CodeKicked       Code = "kicked"        // removed by a moderator or the host
	CodeTooLarge     Code = "too_large"     // over a size limit
	CodeRateLimited  Code = "rate_limited"  // this user is too fast
	CodeOverloaded   Code = "overloaded"    // the server has too much to do
	CodeTimeout      Code = "timeout"       // no answer in time; the outcome is not known
	CodeSlowConsumer Code = "slow_consumer" // the client does not read
	CodeShutdown     Code = "shutdown"      // this server goes away
	CodeInternal     Code = "internal"      // a fault of the server
)

// RetryRule says what a client may do after an error.
type RetryRule uint8

const (
	RetryNever     RetryRule = iota // the same request will fail again
	RetryLater                      // the same request may succeed after RetryAfter
	RetryWithToken                  // get a new token first
	RetryReconnect                  // connect again after RetryAfter, and resume
)

func (r RetryRule) String() string {
	return [...]string{"never", "later", "with_token", "reconnect"}[r]
}

// codeInfo is the one table of what a code means on each transport.
type codeInfo struct {
	status    int // HTTP
	closeCode int // WebSocket
	retry     RetryRule
	reason    string // when the error gives none
}

var codeTable = map[Code]codeInfo{
	CodeBadRequest:   {http.StatusBadRequest, 4400, RetryNever, "the request does not follow the protocol"},
	CodeUnauthorized: {http.StatusUnauthorized, 4401, RetryWithToken, "sign in and connect again"},
	CodeExpired:      {http.StatusUnauthorized, 4419, RetryWithToken, "the token has expired; connect with a new one"},
	CodeForbidden:    {http.StatusForbidden, 4403, RetryNever, "you may not do this"},
	CodeRoomMode:     {http.StatusForbidden, 4403, RetryNever, "the room does not take this for now"},
	CodeOrigin:       {http.StatusForbidden, 4403, RetryNever, "pages of this origin may not connect; the site can allow it in Options.Origins"},
	CodeNotFound:     {http.StatusNotFound, 4404, RetryNever, "there is no such thing here"},
	CodeNotJoined:    {http.StatusConflict, 4409, RetryNever, "join the room first"},
	CodeConflict:     {http.StatusConflict, 4409, RetryNever, "something else came first"},
	CodeRoomClosed:   {http.StatusGone, 4410, RetryNever, "the room has ended"},
	CodeKicked:       {http.StatusForbidden, 4430, RetryNever, "you were removed"},
	CodeTooLarge:     {http.StatusRequestEntityTooLarge, 1009, RetryNever, "too large"},
	CodeRateLimited:  {http.StatusTooManyRequests, 4429, RetryLater, "too fast; wait a moment"},
	CodeOverloaded:   {http.StatusServiceUnavailable, 1013, RetryLater, "the server is busy; try again later"},
	CodeTimeout:      {http.StatusGatewayTimeout, 4504, RetryLater, "no answer in time; the same request may be sent again under the same id"},
	CodeSlowConsumer: {http.StatusRequestTimeout, 4408, RetryReconnect, "the connection is too slow; connect again and resume"},
	CodeShutdown:     {http.StatusServiceUnavailable, 1012, RetryReconnect, "the server restarts; connect again and resume"},
	CodeInternal:     {http.StatusInternalServerError, 1011, RetryLater, "the server failed; try again later"},
}

// info returns what the code means; codes of the host count as CodeForbidden.
func (c Code) info() codeInfo {
	if i, ok := codeTable[c]; ok {
		return i
	}
	return codeTable[CodeForbidden]
}

// HTTPStatus is the status with which HTTP answers carry the code.
func (c Code) HTTPStatus() int { return c.info().status }

// CloseCode is the WebSocket close code with which a connection ends for it.
func (c Code) CloseCode() int { return c.info().closeCode }

// Retry is what a client may do after it.
func (c Code) Retry() RetryRule { return c.info().retry }

// Error is a refusal that reaches the client as it is: hooks of the host
// return one to choose what a client is told. Any other error of a hook reaches
// it as CodeInternal without the text, and is logged.
//
// errors.Is matches two Errors by Code.
type Error struct {
	Code   Code
	Reason string // a sentence for people; defaults to the code's own
	// RetryAfter is when the same request may succeed; zero leaves it to the
	// client. Sent in milliseconds, rounded up.
	RetryAfter time.Duration

	cause error
}

func (e *Error) Error() string {
	s := "im: " + string(e.Code) + ": " + e.reason()
	if e.RetryAfter > 0 {
		s += fmt.Sprintf(" (retry after %v)", e.RetryAfter)
	}
	if e.cause != nil {
		s += ": " + e.cause.Error()
	}
	return s
}

// Is reports whether target is an Error with the same Code.
func (e *Error) Is(target error) bool {
	var t *Error
	return errors.As(target, &t) && t.Code == e.Code
}

// Unwrap returns what caused the error, which no client sees.
func (e *Error) Unwrap() error { return e.cause }

func (e *Error) reason() string {
	if e.Reason != "" {
		return e.Reason
	}
	return e.Code.info().reason
}

// retryMillis is RetryAfter as the wire carries it, rounded up so that waiting
// exactly that long is enough.
func (e *Error) retryMillis() int64 {
	return int64((e.RetryAfter + time.Millisecond - 1) / time.Millisecond)
}

// Sentinels for errors.Is.
var (
	// ErrClosed is returned by methods of a hub after Shutdown or Close.
	ErrClosed = errors.New("im: the hub is closed")
	// ErrNoCredentials is what an Authenticator returns for a request that
	// carries nothing that names a user.
	ErrNoCredentials = errors.New("im: the request carries no credentials")
	// ErrConflict matches a Set that lost, and an ID that was used for something else.
	ErrConflict error = &Error{Code: CodeConflict}
	// ErrRoomClosed matches what a closed room answers.
	ErrRoomClosed error = &Error{Code: CodeRoomClosed}
)

// errorf makes an Error with a reason for people.
func errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Reason: fmt.Sprintf(format, args...)}
}

// asError turns any error into one that may reach a client. What is not an
// Error becomes CodeInternal, with the text kept out of the client's sight.
func asError(err error) *Error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	switch {
	case errors.Is(err, ErrClosed):
		return &Error{Code: CodeShutdown, cause: err}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return &Error{Code: CodeTimeout, cause: err}
	}
	return &Error{Code: CodeInternal, cause: err}
}
