package ws

import (
	"fmt"
	"io"
	"net/http"
)

// HandshakeError is the HTTP answer to a request that cannot become a
// WebSocket connection.
type HandshakeError struct {
	// Status is the HTTP status: 400, 405 or 426.
	Status int
	// Reason is for the response's body and for the log. It quotes nothing of
	// the request.
	Reason string
	// Header is to be added to the response. It has Connection: close, because
	// what follows a refused upgrade cannot be trusted to be a request.
	Header http.Header
}

// Error returns the status and the reason on one line.
func (e *HandshakeError) Error() string {
	return fmt.Sprintf("ws: handshake refused with status %d: %s", e.Status, e.Reason)
}

// Respond writes the answer to w. It does not read the request's body.
func (e *HandshakeError) Respond(w http.ResponseWriter) {
	header := w.Header()
	for name, values := range e.Header {
		header[name] = values
	}
	header.Set("Content-Type", "text/plain; charset=utf-8")
	header.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(e.Status)
	_, _ = io.WriteString(w, e.Reason+"\n")
}

func refuse(status int, reason string) *HandshakeError {
	return &HandshakeError{status, reason, http.Header{"Connection": {"close"}}}
}

func badRequest(reason string) *HandshakeError { return refuse(http.StatusBadRequest, reason) }

func methodNotAllowed() *HandshakeError {
	e := refuse(http.StatusMethodNotAllowed, "use GET for the WebSocket handshake")
	e.Header.Set("Allow", http.MethodGet)
	return e
}

// upgradeRequired names what to upgrade to: RFC 9110 section 15.5.22 asks for
// Upgrade, RFC 6455 section 4.4 for the version. Connection stays just "close",
// the only form in which net/http takes it as the order to close.
func upgradeRequired(reason string) *HandshakeError {
	e := refuse(http.StatusUpgradeRequired, reason)
	e.Header.Set("Upgrade", "websocket")
	e.Header.Set(headerVersion, "13")
	return e
}
