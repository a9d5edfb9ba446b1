package ws

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/flate"
)

// The bits of FuzzParser's flags.
const (
	fuzzClient = 1 << iota
	fuzzDeflate
	fuzzSmall
)

// FuzzParser checks that what comes of a byte stream does not depend on how it
// was split, and that a parser allocates at most four times its input.
func FuzzParser(f *testing.F) {
	cases := slices.Concat(framingCases(), controlCases(), reservedCases(), fragmentCases(),
		closeCases(), limitCases(), deflateCases())
	for i, c := range cases {
		if len(c.wire) > 2000 {
			continue
		}
		flags := byte(c.role) * fuzzClient
		if c.deflate {
			flags |= fuzzDeflate
		}
		f.Add([]byte(c.wire), []byte{byte(i), 1, 7}, flags)
	}
	f.Fuzz(func(t *testing.T, wire, splits []byte, flags byte) {
		role := Role(flags & fuzzClient)
		deflate := flags&fuzzDeflate != 0
		limits := &Limits{}
		if flags&fuzzSmall != 0 {
			limits = &Limits{MaxMessage: 3000, MaxFrames: 5, ControlBurst: 3}
		}
		want := run(t, NewParser(role, limits, deflate), whole(wire))
		i := 0
		random := splitBy(wire, func() int {
			if len(splits) == 0 {
				return len(wire)
			}
			i++
			return int(splits[i%len(splits)])
		})
		for name, pieces := range map[string][][]byte{"bytewise": bytewise(wire), "split": random} {
			if got := run(t, NewParser(role, limits, deflate), pieces); !got.equal(want) {
				t.Errorf("%s: got %v and close %d, whole %v and close %d",
					name, got.events, got.code, want.events, want.code)
			}
		}
		checkAllocation(t, NewParser(role, limits, deflate), wire)
	})
}

// checkAllocation fails if feeding wire allocates beyond the budget. The slack
// is for what runs beside the test; inflating is bounded by the limit instead,
// and its pools can be emptied by a garbage collection at any time.
func checkAllocation(t *testing.T, p *Parser, wire []byte) {
	t.Helper()
	input := slices.Clone(wire)
	budget := uint64(4*len(wire) + 64<<10)
	if p.deflate {
		budget += uint64(8*p.limits.maxMessage() + 256<<10)
	}
	got := allocated(func() { _ = p.Feed(t0, input, &nopHandler{}); p.Release() })
	if got > budget {
		t.Errorf("%d bytes of input allocated %d, want at most %d", len(wire), got, budget)
	}
}

// FuzzInflate compares inflate with the plain decompressor and checks the
// limit.
func FuzzInflate(f *testing.F) {
	f.Add([]byte(deflated("Hello")), uint16(5))
	f.Add([]byte(deflated("Hello")), uint16(4))
	f.Add([]byte(deflateAll("Hello")+deflateAll("Hello")), uint16(100))
	f.Add([]byte(deflateAll("Hello")+"\x00"), uint16(100))
	f.Add([]byte(beforeStart()), uint16(100))
	f.Add([]byte(deflated(strings.Repeat("ab", 20000))), uint16(40000))
	f.Add([]byte(strings.Repeat("\x03\x00", 9)), uint16(1))
	f.Add([]byte("\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"), uint16(5))
	f.Fuzz(func(t *testing.T, payload []byte, limit uint16) {
		inflated, err := inflate(payload, int(limit))
		plain := flate.NewReader(bytes.NewReader(append(slices.Clone(payload), syncTail+finalTail...)))
		want, wantErr := io.ReadAll(io.LimitReader(plain, int64(limit)+1))
		if len(want) > int(limit) && err != errTooBig {
			t.Errorf("inflate = %v, want %v: over the limit of %d", err, errTooBig, limit)
		}
		if err != nil {
			return
		}
		// The plain decompressor stops behind the first final block.
		if got := inflated.bytes(); wantErr != nil || len(got) > int(limit) || !bytes.HasPrefix(got, want) {
			t.Errorf("inflated to %q, want %q first and at most %d bytes; plain error %v", got, want, limit, wantErr)
		}
		inflated.release()
		if isBomb(payload, int(limit)) {
			t.Error("isBomb disagrees with inflate")
		}
	})
}

// FuzzCheckRequest feeds raw request heads: no panic, every refusal a 4xx that
// closes, every acceptance a response that the client side takes.
func FuzzCheckRequest(f *testing.F) {
	for _, head := range []string{
		rawRequest(), rawRequest("Sec-WebSocket-Protocol: chat, im.v1"),
		rawRequest("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"),
		rawRequest(`Sec-WebSocket-Extensions: a; b="c\"", permessage-deflate; server_max_window_bits="15"`),
		rawRequest("Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=10, permessage-deflate"),
		rawRequest("Origin: https://a.example", "Origin: https://b.example"),
		rawRequest("Content-Length: 5"), rawRequest("Transfer-Encoding: chunked"),
		"POST / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.0\r\n\r\n",
	} {
		f.Add(head, true)
	}
	f.Fuzz(func(t *testing.T, head string, deflate bool) {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(head)))
		if err != nil {
			return
		}
		hs, refused := CheckRequest(r, []string{"im.v1", "chat"}, deflate)
		if refused != nil {
			if refused.Status < 400 || refused.Status > 499 || refused.Header.Get("Connection") != "close" {
				t.Errorf("refused with %d and %v, want a 4xx that closes", refused.Status, refused.Header)
			}
			return
		}
		resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(hs.AppendResponse(nil))), r)
		if err != nil {
			t.Fatalf("response is malformed: %v", err)
		}
		o := DialOptions{Protocols: []string{"im.v1", "chat"}, Deflate: deflate}
		key := trimOWS(r.Header.Get(headerKey))
		if _, reason := o.checkResponse(resp, key); reason != "" {
			t.Errorf("client refuses the response: %s", reason)
		}
	})
}
