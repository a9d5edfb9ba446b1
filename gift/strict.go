package gift

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"unicode/utf8"

	"github.com/liveim/im"
)

// field is a member of the body of an operation: a text or a whole number from 1 on.
type field struct {
	name     string
	text     *string
	number   *int64
	optional bool
}

// decodeStrict reads the body of an operation that moves money. What could be understood in two ways is refused:
// a member that is repeated or unknown, in whatever spelling; numbers with a sign, a fraction or an exponent; null. A body that
// needs no members may be missing.
func decodeStrict(body []byte, fields ...field) error {
	if len(bytes.TrimSpace(body)) == 0 || string(bytes.TrimSpace(body)) == "null" {
		body = []byte("{}")
	}
	if !utf8.Valid(body) || !json.Valid(body) { // the decoder alone lets some of both pass
		return refuse(im.CodeBadRequest, "the body is not JSON in UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return refuse(im.CodeBadRequest, "the body is not a JSON object")
	}
	seen := map[string]bool{}
	for d.More() {
		if err := decodeMember(d, fields, seen); err != nil {
			return err
		}
	}
	if _, err := d.Token(); err != nil {
		return refuse(im.CodeBadRequest, "the body is not a JSON object")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return refuse(im.CodeBadRequest, "something follows the JSON object in the body")
	}
	for _, f := range fields {
		if !f.optional && !seen[f.name] {
			return refuse(im.CodeBadRequest, "the body lacks %q", f.name)
		}
	}
	return nil
}

// decodeMember reads one member of the object.
func decodeMember(d *json.Decoder, fields []field, seen map[string]bool) error {
	t, err := d.Token()
	name, ok := t.(string)
	if err != nil || !ok {
		return refuse(im.CodeBadRequest, "the body is not a JSON object")
	}
	if seen[name] {
		return refuse(im.CodeBadRequest, "the body has %.40q more than once", name)
	}
	seen[name] = true
	for _, f := range fields {
		if f.name != name {
			continue
		}
		value, err := d.Token()
		if err != nil {
			return refuse(im.CodeBadRequest, "the body is not a JSON object")
		}
		return f.set(value)
	}
	return refuse(im.CodeBadRequest, "there is no %.40q in this operation; leave it out", name)
}

func (f *field) set(value json.Token) error {
	if f.text != nil {
		s, ok := value.(string)
		if !ok {
			return refuse(im.CodeBadRequest, "%q must be a string", f.name)
		}
		*f.text = s
		return nil
	}
	n, ok := value.(json.Number)
	if !ok {
		return refuse(im.CodeBadRequest, "%q must be a number", f.name)
	}
	v, err := strconv.ParseInt(string(n), 10, 64) // JSON itself refuses +1 and 01
	switch {
	case err != nil:
		return refuse(im.CodeBadRequest, "%q must be a whole number without fraction and exponent, up to %d", f.name, int64(MaxAmount))
	case v < 1 || v > MaxAmount:
		return refuse(im.CodeBadRequest, "%q must be from 1 to %d", f.name, int64(MaxAmount))
	}
	*f.number = v
	return nil
}
