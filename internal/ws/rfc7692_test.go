package ws

import (
	"strings"

	"github.com/klauspost/compress/flate"
)

// deflateAll compresses s as one stream that ends with a final block.
func deflateAll(s string) string {
	var sb strings.Builder
	w, _ := flate.NewWriter(&sb, flate.BestCompression)
	_, _ = w.Write([]byte(s))
	_ = w.Close()
	return sb.String()
}

// beforeStart is a stream that refers to bytes before its own.
func beforeStart() string {
	var sb strings.Builder
	w, _ := flate.NewWriterDict(&sb, flate.BestCompression, []byte("a long enough dictionary"))
	_, _ = w.Write([]byte("a long enough dictionary"))
	_ = w.Close()
	return sb.String()
}

func deflated(s string) string { return string(AppendDeflated(nil, []byte(s))) }

func deflateCases() []rfcCase {
	hello := "\xf2\x48\xcd\xc9\xc9\x07\x00" // RFC 7692 section 7.2.3.1
	long := strings.Repeat("弹幕 danmaku ", 3000)
	noise := noiseString(64 << 10)
	repeats := func(n int) string { return strings.Repeat("\x03\x00", n) }
	cases := []rfcCase{
		ok("RFC one block", stream{}.rsv1(OpText, true, hello), text("Hello")),
		ok("RFC fragmented", stream{}.rsv1(OpText, false, hello[:3]).frame(OpContinuation, true, hello[3:]), text("Hello")),
		ok("RFC stored block", stream{}.rsv1(OpText, true, "\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"), text("Hello")),
		ok("RFC final block", stream{}.rsv1(OpText, true, "\xf3\x48\xcd\xc9\xc9\x07\x00\x00"), text("Hello")),
		ok("RFC two blocks", stream{}.rsv1(OpText, true, "\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"), text("Hello")),
		ok("RFC empty message", stream{}.rsv1(OpText, true, "\x00"), text("")),
		ok("final block without the 0x00", stream{}.rsv1(OpText, true, deflateAll("Hello")), text("Hello")),
		ok("blocks after a final block", stream{}.rsv1(OpText, true, deflateAll("Hello")+deflateAll(", world")), text("Hello, world")),
		ok("eight streams", stream{}.rsv1(OpText, true, repeats(8)), text("")),
		bad("nine streams", 1007, stream{}.rsv1(OpText, true, repeats(9))),
		bad("empty payload", 1007, stream{}.rsv1(OpText, true, "")), // an empty message is 0x00
		ok("uncompressed beside compressed", stream{}.text("a").rsv1(OpText, true, hello).text("b"),
			text("a"), text("Hello"), text("b")),
		ok("same message twice", stream{}.rsv1(OpText, true, hello).rsv1(OpText, true, hello), text("Hello"), text("Hello")),
		ok("empty fragments compressed", stream{}.rsv1(OpText, false, "").frame(OpContinuation, false, hello).
			frame(OpContinuation, true, ""), text("Hello")),
		ok("ping inside a compressed message", stream{}.rsv1(OpText, false, hello[:1]).ping("p").
			frame(OpContinuation, true, hello[1:]), ping("p"), text("Hello")),
		ok("long compressed text", stream{}.rsv1(OpText, true, deflated(long)), text(long)),
		ok("incompressible at the limit", stream{}.rsv1(OpBinary, true, deflated(noise)), blob(noise)),
		ok("inflates to the limit", stream{}.rsv1(OpBinary, true, deflated("0123456789")), blob("0123456789")).
			with(Limits{MaxMessage: 10}),
		bad("inflates over the limit", 1009, stream{}.rsv1(OpBinary, true, deflated("0123456789a"))).
			with(Limits{MaxMessage: 10}),
		bad("inflates over the default limit", 1009, stream{}.rsv1(OpBinary, true, deflated(noise+"!"))),
		bad("second stream over the limit", 1009, stream{}.rsv1(OpBinary, true, deflateAll("012345")+deflateAll("6789a"))).
			with(Limits{MaxMessage: 10}),
		bad("zeros over the default limit", 1009, stream{}.rsv1(OpBinary, true, deflated(strings.Repeat("\x00", 64<<10+1)))),
		bad("compressed length over the limit", 1009, stream{}.rsv1(OpBinary, true, strings.Repeat("\x00", 67<<10))),
		bad("reserved block type", 1007, stream{}.rsv1(OpBinary, true, "\x07")),
		bad("stored length mismatch", 1007, stream{}.rsv1(OpBinary, true, "\x00\x05\x00\xfa\xfeHello")),
		bad("garbage", 1007, stream{}.rsv1(OpBinary, true, "\xff\xff\xff\xff")),
		bad("cut short", 1007, stream{}.rsv1(OpText, true, deflated(long)[:40])),
		bad("reference before the start", 1007, stream{}.rsv1(OpBinary, true, beforeStart())),
		bad("garbage after a final block", 1007, stream{}.rsv1(OpText, true, deflateAll("Hello")+"\xde\xad\xbe\xef")),
		bad("RSV1 on a continuation", 1002, stream{}.rsv1(OpText, false, hello[:3]).rsv1(OpContinuation, true, hello[3:])),
		bad("RSV1 on the continuation of plain text", 1002, stream{}.frame(OpText, false, "a").rsv1(OpContinuation, true, hello)),
		bad("RSV1 inside a message", 1002, stream{}.rsv1(OpText, false, hello).rsv1(OpText, true, hello)),
	}
	for _, s := range []string{"\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xc0\xaf", "\xe2\x82"} {
		cases = append(cases,
			bad("inflates to bad text "+s, 1007, stream{}.rsv1(OpText, true, deflated("κ"+s))),
			ok("inflates to binary "+s, stream{}.rsv1(OpBinary, true, deflated(s)), blob(s)))
	}
	for i := range cases {
		cases[i].deflate = true
	}
	return append(cases,
		bad("RSV1 without deflate", 1002, stream{}.rsv1(OpText, true, hello)))
}
