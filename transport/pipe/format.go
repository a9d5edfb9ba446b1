package pipe

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// Lines is the format of all messages: the message and a line break.
type Lines struct{}

// Append implements transport.Format.
func (Lines) Append(dst, message []byte) []byte { return append(append(dst, message...), '\n') }

// heartbeat is the line that a living peer answers.
var heartbeat = []byte("?\n")

// CloseError is the end of a pipe as the peer sees it after the hub's farewell.
type CloseError struct {
	// Code is a WebSocket close code, such as 1008.
	Code int
	// Reason is the hub's explanation.
	Reason string
}

// Error returns the code and the reason on one line.
func (e *CloseError) Error() string {
	return fmt.Sprintf("pipe: closed with %d: %q", e.Code, e.Reason)
}

// appendFarewell encodes a farewell as one line.
func appendFarewell(dst []byte, code int, reason string) []byte {
	reason = strings.NewReplacer("\n", " ", "\r", " ").Replace(reason)
	return fmt.Appendf(dst, "!%d %s\n", code, reason)
}

// parseFarewell decodes a line without its line break; it returns nil if the
// line is no farewell.
func parseFarewell(line []byte) *CloseError {
	rest, ok := bytes.CutPrefix(line, []byte("!"))
	if !ok {
		return nil
	}
	number, reason, _ := strings.Cut(string(rest), " ")
	if code, err := strconv.Atoi(number); err == nil {
		return &CloseError{code, reason}
	}
	return nil
}
