package ws

import (
	"fmt"
	"strings"
)

func framingCases() []rfcCase {
	var cases []rfcCase
	for _, n := range []int{0, 1, 2, 7, 8, 9, 31, 32, 33, 124, 125, 126, 127, 128, 1023, 1024, 1025, 65534, 65535, 65536} {
		s := strings.Repeat("*", n)
		cases = append(cases,
			ok(fmt.Sprintf("text of %d bytes", n), stream{}.text(s), text(s)),
			ok(fmt.Sprintf("binary of %d bytes", n), stream{}.binary(s), blob(s)))
	}
	server := AppendFrame(nil, OpText, true, false, []byte("from the server"))
	cases = append(cases,
		ok("nothing", nil),
		ok("two messages", stream{}.text("a").binary("\xff"), text("a"), blob("\xff")),
		ok("client reads an unmasked frame", server, text("from the server")).client(),
		ok("zero masking key", AppendMaskedFrame(nil, OpText, true, false, [4]byte{}, []byte("plain")), text("plain")),
		bad("server reads an unmasked frame", 1002, server),
		bad("server reads an unmasked empty frame", 1002, stream{0x81, 0x00}),
		bad("server reads an unmasked ping", 1002, stream{0x89, 0x00}),
		bad("client reads a masked frame", 1002, stream{}.text("a")).client(),
		bad("client reads a masked empty frame", 1002, stream{}.text("")).client(),
		bad("second frame unmasked", 1002, AppendFrame(stream{}.text("a"), OpText, true, false, []byte("b")), text("a")),
		bad("16-bit length of 125", 1002, stream{0x82, 0xFE, 0, 125}),
		bad("16-bit length of 0", 1002, stream{0x82, 0xFE, 0, 0}),
		bad("64-bit length of 65535", 1002, stream{0x82, 0xFF, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF}),
		bad("64-bit length of 5", 1002, stream{0x82, 0xFF, 0, 0, 0, 0, 0, 0, 0, 5}),
		bad("64-bit length with the top bit", 1002, stream{0x82, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 5}),
		bad("64-bit length of all ones", 1002, stream{0x82, 0xFF, 255, 255, 255, 255, 255, 255, 255, 255}),
		bad("bad length to a client", 1002, stream{0x82, 0x7E, 0, 1}).client(),
	)
	return cases
}

func controlCases() []rfcCase {
	max := strings.Repeat("p", maxControl)
	long := strings.Repeat("p", maxControl+1)
	cases := []rfcCase{
		ok("empty ping", stream{}.ping(""), ping("")),
		ok("ping with payload", stream{}.ping("Hello"), ping("Hello")),
		ok("ping with binary payload", stream{}.ping("\x00\xff\xfe"), ping("\x00\xff\xfe")),
		ok("ping of 125 bytes", stream{}.ping(max), ping(max)),
		ok("unsolicited pong", stream{}.frame(OpPong, true, "x"), pong("x")),
		ok("empty pong", stream{}.frame(OpPong, true, ""), pong("")),
		ok("ten pings", pings(10), pingEvents(10)...),
		ok("ping between messages", stream{}.text("a").ping("p").text("b"), text("a"), ping("p"), text("b")),
		ok("ping inside a message", stream{}.frame(OpText, false, "a").ping("p").frame(OpContinuation, true, "b"),
			ping("p"), text("ab")),
		bad("ping of 126 bytes", 1002, stream{}.ping(long)),
		bad("pong of 126 bytes", 1002, stream{}.frame(OpPong, true, long)),
		bad("close of 126 bytes", 1002, stream{}.frame(OpClose, true, "\x03\xe8"+long[2:])),
		bad("ping with a 64-bit length", 1002, stream{0x89, 0xFF}),
		bad("fragmented ping", 1002, stream{}.frame(OpPing, false, "a").frame(OpContinuation, true, "b")),
		bad("fragmented pong", 1002, stream{}.frame(OpPong, false, "a")),
		bad("fragmented close", 1002, stream{}.frame(OpClose, false, "")),
	}
	return cases
}

func pings(n int) stream {
	var s stream
	for range n {
		s = s.ping("p")
	}
	return s
}

func pingEvents(n int) []event {
	events := make([]event, n)
	for i := range events {
		events[i] = ping("p")
	}
	return events
}

func reservedCases() []rfcCase {
	var cases []rfcCase
	for _, op := range []Opcode{3, 4, 5, 6, 7, 0xB, 0xC, 0xD, 0xE, 0xF} {
		cases = append(cases,
			bad(fmt.Sprintf("opcode %d", op), 1002, stream{}.frame(op, true, "")),
			bad(fmt.Sprintf("opcode %d after a message", op), 1002, stream{}.text("a").frame(op, true, "b"), text("a")))
	}
	for rsv := byte(1); rsv < 8; rsv++ {
		cases = append(cases,
			bad(fmt.Sprintf("RSV %d on text", rsv), 1002, stream{}.text("a").first(rsv<<4)),
			bad(fmt.Sprintf("RSV %d on ping", rsv), 1002, stream{}.ping("a").first(rsv<<4)).deflated(),
			bad(fmt.Sprintf("RSV %d on close", rsv), 1002, stream{}.frame(OpClose, true, "").first(rsv<<4)).deflated())
		if rsv != 4 {
			cases = append(cases, bad(fmt.Sprintf("RSV %d on text with deflate", rsv), 1002,
				stream{}.text("a").first(rsv<<4)).deflated())
		}
	}
	return cases
}

func fragmentCases() []rfcCase {
	return []rfcCase{
		ok("two fragments", stream{}.frame(OpText, false, "a").frame(OpContinuation, true, "b"), text("ab")),
		ok("binary fragments", stream{}.frame(OpBinary, false, "\xff").frame(OpContinuation, true, "\xfe"), blob("\xff\xfe")),
		ok("empty fragments around one", stream{}.frame(OpText, false, "").frame(OpContinuation, false, "a").
			frame(OpContinuation, true, ""), text("a")),
		ok("only empty fragments", stream{}.frame(OpText, false, "").frame(OpContinuation, false, "").
			frame(OpContinuation, true, ""), text("")),
		ok("last fragment has all", stream{}.frame(OpText, false, "").frame(OpContinuation, true, "all"), text("all")),
		ok("two fragmented messages", stream{}.frame(OpText, false, "a").frame(OpContinuation, true, "b").
			frame(OpBinary, false, "c").frame(OpContinuation, true, "d"), text("ab"), blob("cd")),
		ok("unfinished message", stream{}.frame(OpText, false, "a")),
		ok("unfinished frame", stream{}.text("abc")[:8]),
		ok("unfinished header", stream{}.text("abc")[:5]),
		bad("continuation without a message", 1002, stream{}.frame(OpContinuation, true, "a")),
		bad("unfinished continuation without a message", 1002, stream{}.frame(OpContinuation, false, "a")),
		bad("continuation after a message", 1002, stream{}.text("a").frame(OpContinuation, true, "b"), text("a")),
		bad("continuation after a fragmented message", 1002, stream{}.frame(OpText, false, "a").
			frame(OpContinuation, true, "b").frame(OpContinuation, true, "c"), text("ab")),
		bad("continuation after a ping", 1002, stream{}.ping("").frame(OpContinuation, true, "a"), ping("")),
		bad("text inside a message", 1002, stream{}.frame(OpText, false, "a").text("b")),
		bad("binary inside a message", 1002, stream{}.frame(OpText, false, "a").frame(OpBinary, false, "b")),
		bad("text inside a message after a ping", 1002, stream{}.frame(OpText, false, "a").ping("p").text("b"), ping("p")),
	}
}
