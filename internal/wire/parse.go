package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// Bounds of one message of a client.
const (
	MaxOps   = 64 // requests in one message
	MaxDepth = 32 // levels of nesting, the array of requests included

	maxID = 1<<53 - 1 // of a request
)

// ErrSyntax is wrapped by every error of [ParseRequests].
var ErrSyntax = errors.New("not a request of this protocol")

// ParseRequests reads one message of a client: a request, or an array of up to
// MaxOps of them. It refuses invalid UTF-8 and nesting beyond MaxDepth before
// it builds anything. The requests do not refer to data. With the error of a message
// that is one request of valid JSON comes that request, of which the id can be trusted and nothing else.
func ParseRequests(data []byte) ([]Request, error) {
	array, err := scan(data)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSyntax, err)
	}
	var reqs []Request
	if array {
		err = json.Unmarshal(data, &reqs)
	} else {
		reqs = make([]Request, 1)
		if !readQuickly(data, &reqs[0]) {
			reqs[0] = Request{}
			err = json.Unmarshal(data, &reqs[0])
		}
	}
	if err != nil {
		return refused(reqs, array), fmt.Errorf("%w: %s", ErrSyntax, describe(err))
	}
	for i := range reqs {
		if err := reqs[i].check(); err != nil {
			return refused(reqs, array), fmt.Errorf("%w: %w", ErrSyntax, err)
		}
	}
	return reqs, nil
}

// refused is what is left of requests that cannot be taken: the id of a single one, for the answer to name it.
func refused(reqs []Request, array bool) []Request {
	if array || reqs[0].ID > maxID {
		return nil
	}
	return []Request{{ID: reqs[0].ID}}
}

// check completes what the types alone do not say.
func (r *Request) check() error {
	switch {
	case r.Op == "":
		return errors.New(`a request needs "op"`)
	case r.ID > maxID:
		return errors.New(`"id" must be below 2^53`)
	case r.Max < 0:
		return errors.New(`"max" must not be negative`)
	}
	r.Body = compact(r.Body)
	return nil
}

// compact drops line breaks, which are white space outside of strings, so that
// a body fits into formats that end at one.
func compact(body json.RawMessage) json.RawMessage {
	if bytes.IndexByte(body, '\n') < 0 && bytes.IndexByte(body, '\r') < 0 {
		return body
	}
	var b bytes.Buffer
	if json.Compact(&b, body) != nil {
		return body // unreachable: body is a part of valid JSON
	}
	return b.Bytes()
}

// describe shortens what encoding/json says to what a client's author needs.
func describe(err error) string {
	var t *json.UnmarshalTypeError
	if errors.As(err, &t) && t.Field != "" {
		return fmt.Sprintf("%q must not be a JSON %s", t.Field, t.Value)
	}
	return err.Error()
}

// scan checks what must be known before decoding: UTF-8, depth, and the number
// of requests. It reports whether the message is an array. It does not check the
// grammar, which the decoder does.
func scan(data []byte) (array bool, err error) {
	if !utf8.Valid(data) {
		return false, errors.New("the text is not valid UTF-8")
	}
	data = bytes.TrimLeft(data, " \t\r\n")
	if len(data) == 0 || data[0] != '{' && data[0] != '[' {
		return false, errors.New("want a JSON object, or an array of them")
	}
	array = data[0] == '['
	depth, ops, inString := 0, 0, false
	for i := 0; i < len(data); i++ {
		c := data[i]
		switch {
		case inString:
			if c == '\\' {
				i++
			} else if c == '"' {
				inString = false
			}
		case c == '"':
			inString = true
		case c == '{' || c == '[':
			depth++
			if depth > MaxDepth {
				return array, fmt.Errorf("nested deeper than %d levels", MaxDepth)
			}
		case c == '}' || c == ']':
			depth--
		case c == ',' && depth == 1 && array:
			if ops++; ops >= MaxOps {
				return array, fmt.Errorf("more than %d requests in one message", MaxOps)
			}
		}
	}
	return array, nil
}
