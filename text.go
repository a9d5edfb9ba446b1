package im

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// textOf is the default of Options.Text: a body that is a string, or the field
// "text" of one that is an object.
func textOf(_ Kind, body json.RawMessage) string {
	if text, ok := plainText(body); ok {
		return text
	}
	if len(body) > 0 && body[0] == '"' {
		var s string
		_ = json.Unmarshal(body, &s) // no text then
		return s
	}
	var b struct {
		Text string `json:"text"`
	}
	// Where "text" is something else there is no text.
	_ = json.Unmarshal(body, &b)
	return b.Text
}

// textOf returns what a message says to people. Options.Text may be the host's code.
func (h *Hub) textOf(kind Kind, body json.RawMessage) (text string) {
	_ = h.protect("Options.Text", func() error {
		text = h.opts.Text(kind, body)
		return nil
	})
	return text
}

// plainText finds the "text" of a JSON object in one pass without reflection. It
// reports false where that is not sure, as with escapes and nested values:
// encoding/json decides then.
func plainText(body []byte) (text string, ok bool) {
	if len(body) < 2 || body[0] != '{' || !utf8.Valid(body) {
		return "", false
	}
	var found []byte
	for i := 1; ; i++ {
		key, after, ok := plainString(body, i)
		if !ok || after >= len(body) || body[after] != ':' {
			return "", false
		}
		value, after, ok := plainValue(body, after+1)
		if !ok || after >= len(body) {
			return "", false
		}
		if bytes.EqualFold(key, []byte("text")) { // as encoding/json finds fields; the last one counts
			if value == nil {
				return "", false
			}
			found = value
		}
		switch i = after; body[i] {
		case ',':
		case '}':
			return string(found), true
		default:
			return "", false
		}
	}
}

// plainValue reads a value that is a string without escapes, a number or a word. It returns what a
// string says, nil for the others, and where it goes on.
func plainValue(body []byte, i int) (s []byte, after int, ok bool) {
	if i < len(body) && body[i] == '"' {
		return plainString(body, i)
	}
	for after = i; after < len(body); after++ {
		switch body[after] {
		case ',', '}':
			return nil, after, after > i
		case '{', '[', '"':
			return nil, 0, false
		}
	}
	return nil, 0, false
}

// plainString reads a string that begins at i and has no escapes. It returns what is
// between the quotes, and where it goes on.
func plainString(body []byte, i int) (s []byte, after int, ok bool) {
	if i >= len(body) || body[i] != '"' {
		return nil, 0, false
	}
	for after = i + 1; after < len(body) && body[after] != '\\'; after++ {
		if body[after] == '"' {
			return body[i+1 : after], after + 1, true
		}
	}
	return nil, 0, false
}
