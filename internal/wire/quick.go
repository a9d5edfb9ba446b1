package wire

import (
	"bytes"
	"encoding/json"
)

// readQuickly reads a request in the form in which nearly all come: one object whose names are those
// of Request, each once, and whose strings need no unescaping. It reports false for anything else, be
// it wrong or only unusual: then encoding/json decides. data has passed scan.
func readQuickly(data []byte, req *Request) bool {
	s := quickScanner{rest: data}
	ok := s.object(func(name []byte) bool {
		switch string(name) {
		case "op":
			v, ok := s.string()
			req.Op = opName(v)
			return ok && s.once(0)
		case "id":
			return s.uint(&req.ID) && s.once(1)
		case "room":
			return s.text(&req.Room) && s.once(2)
		case "kind":
			return s.text(&req.Kind) && s.once(3)
		case "cid":
			return s.text(&req.CID) && s.once(4)
		case "tier":
			return s.text(&req.Tier) && s.once(5)
		case "body":
			return s.raw(&req.Body) && s.once(6)
		case "since":
			return s.position(&req.Since) && s.once(7)
		}
		return false // the others are rare
	})
	s.space()
	return ok && len(s.rest) == 0
}

// opName returns a copy of the name of an operation, without allocating for the common ones.
func opName(b []byte) string {
	for _, op := range [...]string{OpSend, OpJoin, OpPing, OpLeave, OpTier} {
		if string(b) == op {
			return op
		}
	}
	return string(b)
}

// quickScanner reads JSON whose brackets are known to nest no deeper than MaxDepth. Its methods report
// false for what they do not know.
type quickScanner struct {
	rest []byte
	seen uint16 // names that have come
}

func (s *quickScanner) once(name int) bool {
	bit := uint16(1) << name
	fresh := s.seen&bit == 0
	s.seen |= bit
	return fresh
}

func (s *quickScanner) space() {
	for len(s.rest) > 0 {
		switch s.rest[0] {
		case ' ', '\t', '\r', '\n':
			s.rest = s.rest[1:]
		default:
			return
		}
	}
}

// take consumes c, and the white space before it, if it is next.
func (s *quickScanner) take(c byte) bool {
	s.space()
	if len(s.rest) == 0 || s.rest[0] != c {
		return false
	}
	s.rest = s.rest[1:]
	return true
}

// object has field read the value of each name.
func (s *quickScanner) object(field func(name []byte) bool) bool {
	if !s.take('{') {
		return false
	}
	if s.take('}') {
		return true
	}
	for {
		name, ok := s.string()
		if !ok || !s.take(':') || !field(name) {
			return false
		}
		if s.take('}') {
			return true
		}
		if !s.take(',') {
			return false
		}
	}
}

// string reads a string without escapes.
func (s *quickScanner) string() (v []byte, ok bool) {
	if !s.take('"') {
		return nil, false
	}
	for i, c := range s.rest {
		switch {
		case c == '"':
			v, s.rest = s.rest[:i], s.rest[i+1:]
			return v, true
		case c == '\\' || c < ' ':
			return nil, false
		}
	}
	return nil, false
}

func (s *quickScanner) text(to *string) bool {
	v, ok := s.string()
	*to = string(v)
	return ok
}

// uint reads a number of up to 15 digits.
func (s *quickScanner) uint(to *uint64) bool {
	s.space()
	n, digits := uint64(0), 0
	for digits < len(s.rest) && s.rest[digits] >= '0' && s.rest[digits] <= '9' {
		n = n*10 + uint64(s.rest[digits]-'0')
		if digits++; digits > 15 {
			return false
		}
	}
	if digits == 0 || digits > 1 && s.rest[0] == '0' {
		return false
	}
	s.rest = s.rest[digits:]
	*to = n
	// What follows decides whether that was all of it: a fraction is no end.
	return len(s.rest) > 0 && bytes.IndexByte([]byte(",} \t\r\n"), s.rest[0]) >= 0
}

func (s *quickScanner) position(to **Position) bool {
	var p Position
	ok := s.object(func(name []byte) bool {
		switch string(name) {
		case "epoch":
			return s.text(&p.Epoch) && s.once(8)
		case "seq":
			return s.uint(&p.Seq) && s.once(9)
		}
		return false
	})
	*to = &p
	return ok
}

// raw reads any value, and copies it.
func (s *quickScanner) raw(to *json.RawMessage) bool {
	s.space()
	end, depth, inString := 0, 0, false
	for ; end < len(s.rest); end++ {
		c := s.rest[end]
		if inString {
			if c == '\\' {
				end++
			} else if c == '"' {
				inString = false
			}
			continue
		}
		if c == '"' {
			inString = true
		} else if c == '{' || c == '[' {
			depth++
		} else if c == '}' || c == ']' || c == ',' {
			if depth == 0 {
				break
			}
			if c != ',' {
				depth--
			}
		}
	}
	if end >= len(s.rest) {
		return false
	}
	v := bytes.TrimRight(s.rest[:end], " \t\r\n")
	if string(v) == "null" || !json.Valid(v) {
		return false
	}
	*to = bytes.Clone(v)
	s.rest = s.rest[end:]
	return true
}
