package ws

import (
	"errors"
	"strings"
)

// errExtensionSyntax means that an extension list has to fail the handshake
// (RFC 6455 section 9.1), in contrast to one that is only not acceptable.
var errExtensionSyntax = errors.New(
	"ws: Sec-WebSocket-Extensions is malformed; write it as in RFC 6455 section 9.1")

// Extension is one element of a Sec-WebSocket-Extensions header: an extension
// that a client offers or a server accepted (RFC 6455 section 9.1).
type Extension struct {
	Name   string
	Params []ExtensionParam
}

// ExtensionParam is a parameter of an [Extension].
type ExtensionParam struct {
	Name string
	// Value is unquoted; it is empty when the parameter has none, because an
	// empty value would be malformed.
	Value string
}

// ParseExtensions parses the values of all Sec-WebSocket-Extensions headers of
// one request or response, in order. It fails on bad syntax only; whether the
// parameters mean anything is decided when they are negotiated.
func ParseExtensions(values []string) ([]Extension, error) {
	var list []Extension
	for _, value := range values {
		for s := (extensionScanner{value}); ; {
			s.skipSpace()
			if s.take(',') {
				continue
			}
			if s.rest == "" {
				break
			}
			ext, ok := s.extension()
			if !ok || s.rest != "" && !s.take(',') {
				return nil, errExtensionSyntax
			}
			list = append(list, ext)
		}
	}
	return list, nil
}

type extensionScanner struct{ rest string }

func (s *extensionScanner) skipSpace() { s.rest = strings.TrimLeft(s.rest, " \t") }

// take consumes c and reports whether it was next.
func (s *extensionScanner) take(c byte) bool {
	if s.rest == "" || s.rest[0] != c {
		return false
	}
	s.rest = s.rest[1:]
	return true
}

// token consumes a token, which is empty if there is none, and the space after.
func (s *extensionScanner) token() string {
	n := 0
	for n < len(s.rest) && isTokenByte(s.rest[n]) {
		n++
	}
	token := s.rest[:n]
	s.rest = s.rest[n:]
	s.skipSpace()
	return token
}

func (s *extensionScanner) extension() (ext Extension, ok bool) {
	ext.Name = s.token()
	if ext.Name == "" {
		return ext, false
	}
	for s.take(';') {
		s.skipSpace()
		param := ExtensionParam{Name: s.token()}
		if param.Name == "" {
			return ext, false
		}
		if s.take('=') {
			s.skipSpace()
			if param.Value, ok = s.value(); !ok {
				return ext, false
			}
		}
		ext.Params = append(ext.Params, param)
	}
	return ext, true
}

// value consumes a token or a quoted string that is a token when unquoted.
func (s *extensionScanner) value() (string, bool) {
	if !s.take('"') {
		v := s.token()
		return v, v != ""
	}
	var unquoted []byte
	for s.rest != "" {
		c := s.rest[0]
		s.rest = s.rest[1:]
		if c == '"' {
			s.skipSpace()
			return string(unquoted), len(unquoted) > 0
		}
		if c == '\\' && s.rest != "" {
			c, s.rest = s.rest[0], s.rest[1:]
		}
		if !isTokenByte(c) {
			return "", false
		}
		unquoted = append(unquoted, c)
	}
	return "", false
}
