package ws

import (
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxControl is the longest payload of a control frame, in bytes
// (RFC 6455 section 5.5).
const maxControl = 125

// CloseCode says why a connection ends (RFC 6455 section 7.4). Codes 3000 to
// 3999 are registered by libraries, 4000 to 4999 are private to applications.
type CloseCode uint16

// The close codes of RFC 6455 section 7.4.1, and 1012 to 1014, which IANA
// registered later.
const (
	CloseNormal             CloseCode = 1000
	CloseGoingAway          CloseCode = 1001
	CloseProtocolError      CloseCode = 1002
	CloseUnsupportedData    CloseCode = 1003
	CloseNoStatus           CloseCode = 1005 // never sent: the close frame had no code
	CloseAbnormal           CloseCode = 1006 // never sent: there was no close frame
	CloseInvalidPayload     CloseCode = 1007
	ClosePolicyViolation    CloseCode = 1008
	CloseMessageTooBig      CloseCode = 1009
	CloseMandatoryExtension CloseCode = 1010
	CloseInternalError      CloseCode = 1011
	CloseServiceRestart     CloseCode = 1012
	CloseTryAgainLater      CloseCode = 1013
	CloseBadGateway         CloseCode = 1014
	CloseTLSHandshake       CloseCode = 1015 // never sent: TLS failed
)

// ValidOnWire reports whether a close frame may carry the code. Codes 1004,
// 1005, 1006 and 1015 are reserved, and 0 to 999 and 1016 to 2999 are not in
// use (RFC 6455 section 7.4.2).
func (c CloseCode) ValidOnWire() bool {
	switch {
	case c >= 3000 && c <= 4999:
		return true
	case c < 1000 || c > 1014:
		return false
	}
	return c != 1004 && c != CloseNoStatus && c != CloseAbnormal
}

// CloseError is the end of a connection as an error: what the peer did wrong
// together with the code that RFC 6455 asks for, or the close that a peer sent.
type CloseError struct {
	// Code is the close code to send, or the one received.
	Code CloseCode
	// Reason is UTF-8 text. Reasons made by this package fit a close frame.
	Reason string
}

// Error returns the code and the reason on one line.
func (e *CloseError) Error() string {
	if e.Reason == "" {
		return fmt.Sprintf("websocket close %d", e.Code)
	}
	return fmt.Sprintf("websocket close %d: %s", e.Code, e.Reason)
}

// AppendClose appends the payload of a close frame (RFC 6455 section 5.5.1) to
// dst: two bytes of code, then the reason. Invalid UTF-8 in the reason becomes
// U+FFFD, and a reason over 123 bytes is cut at a rune boundary, so that the
// payload always fits a control frame. A code that must not be sent, such as
// [CloseNoStatus], appends nothing, which is a valid payload too.
func AppendClose(dst []byte, code CloseCode, reason string) []byte {
	if !code.ValidOnWire() {
		return dst
	}
	dst = binary.BigEndian.AppendUint16(dst, uint16(code))
	reason = strings.ToValidUTF8(reason, string(utf8.RuneError))
	if n := maxControl - 2; len(reason) > n {
		for !utf8.RuneStart(reason[n]) {
			n--
		}
		reason = reason[:n]
	}
	return append(dst, reason...)
}

// parseClose splits the payload of a received close frame.
func parseClose(payload []byte) (CloseCode, string, *CloseError) {
	switch len(payload) {
	case 0:
		return CloseNoStatus, "", nil
	case 1:
		return 0, "", violation("send a close payload that is empty or starts with a two-byte code")
	}
	code, reason := CloseCode(binary.BigEndian.Uint16(payload)), payload[2:]
	if !code.ValidOnWire() {
		return 0, "", violation("send a close code from 1000 to 1014 or 3000 to 4999 that is not reserved")
	}
	if !utf8.Valid(reason) {
		return 0, "", &CloseError{CloseInvalidPayload, "encode close reasons as UTF-8"}
	}
	return code, string(reason), nil
}

func violation(reason string) *CloseError { return &CloseError{CloseProtocolError, reason} }
