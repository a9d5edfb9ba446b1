package ws

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// rfcCase is a byte stream and everything that must come of it.
type rfcCase struct {
	name    string
	role    Role
	deflate bool
	limits  *Limits
	wire    []byte
	events  []event
	code    CloseCode // that the parser must close with; 0 for none
}

// TestRFC runs every case whole, byte by byte and in random pieces: how bytes
// arrive must never matter.
func TestRFC(t *testing.T) {
	cases := slices.Concat(framingCases(), controlCases(), reservedCases(), fragmentCases(),
		utf8Cases(), closeCases(), limitCases(), deflateCases())
	if len(cases) < 120 {
		t.Errorf("%d cases, want at least 120", len(cases))
	}
	seen := map[string]bool{}
	for _, c := range cases {
		if seen[c.name] {
			t.Errorf("two cases are named %q", c.name)
		}
		seen[c.name] = true
		t.Run(c.name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, uint64(len(c.wire))))
			splits := map[string][][]byte{
				"whole":    whole(c.wire),
				"bytewise": bytewise(c.wire),
				"random 1": splitBy(c.wire, func() int { return rng.IntN(8) }),
				"random 2": splitBy(c.wire, func() int { return rng.IntN(64) }),
				"random 3": splitBy(c.wire, func() int { return rng.IntN(4096) }),
			}
			want := outcome{c.events, c.code}
			for name, pieces := range splits {
				got := run(t, NewParser(c.role, c.limits, c.deflate), pieces)
				if !got.equal(want) {
					t.Errorf("%s: got %v and close %d, want %v and close %d",
						name, got.events, got.code, want.events, want.code)
				}
			}
		})
	}
}

// stream builds the bytes that a client sends.
type stream []byte

func (s stream) frame(op Opcode, fin bool, payload string) stream {
	return AppendMaskedFrame(s, op, fin, false, testKey, []byte(payload))
}

func (s stream) rsv1(op Opcode, fin bool, payload string) stream {
	return AppendMaskedFrame(s, op, fin, true, testKey, []byte(payload))
}

func (s stream) text(payload string) stream   { return s.frame(OpText, true, payload) }
func (s stream) binary(payload string) stream { return s.frame(OpBinary, true, payload) }
func (s stream) ping(payload string) stream   { return s.frame(OpPing, true, payload) }

// first ors bits into the first byte of the stream.
func (s stream) first(bits byte) stream { s[0] |= bits; return s }

func text(s string) event { return event{kind: "text", data: s} }
func blob(s string) event { return event{kind: "binary", data: s} }
func ping(s string) event { return event{kind: "ping", data: s} }
func pong(s string) event { return event{kind: "pong", data: s} }

func closing(code CloseCode, reason string) event {
	return event{kind: "close", data: reason, code: code}
}

// ok is a case that is accepted.
func ok(name string, wire stream, events ...event) rfcCase {
	return rfcCase{name: name, wire: wire, events: events}
}

// bad is a case that is refused with code after events.
func bad(name string, code CloseCode, wire stream, events ...event) rfcCase {
	return rfcCase{name: name, wire: wire, events: events, code: code}
}

// with returns c under limits.
func (c rfcCase) with(limits Limits) rfcCase { c.limits = &limits; return c }

// client returns c as seen by a client.
func (c rfcCase) client() rfcCase { c.role = ClientRole; return c }

// deflated returns c with permessage-deflate negotiated.
func (c rfcCase) deflated() rfcCase { c.deflate = true; return c }
