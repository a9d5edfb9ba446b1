package ws

import (
	"fmt"
	"strings"
)

// invalidUTF8 has one entry for every way in which UTF-8 can be wrong, each to
// be put between valid text.
var invalidUTF8 = []string{
	"\x80", "\xbf", "\x80\xbf\x80", // lone continuation bytes
	"\xc0", "\xc1", "\xf5", "\xf8", "\xfc", "\xfe", "\xff", // bytes that never occur
	"\xc0\xaf", "\xe0\x80\xaf", "\xf0\x80\x80\xaf", "\xf8\x80\x80\x80\xaf", // overlong slash
	"\xc1\xbf", "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf", // overlong maxima
	"\xc0\x80", "\xe0\x80\x80", "\xf0\x80\x80\x80", // overlong NUL
	"\xed\xa0\x80", "\xed\xbf\xbf", "\xed\xa0\x80\xed\xb0\x80", // surrogates
	"\xf4\x90\x80\x80", "\xf7\xbf\xbf\xbf", "\xf5\x80\x80\x80", // above U+10FFFF
	"\xc3", "\xe2\x82", "\xe2", "\xf0\x9f\x98", "\xf0\x9f", "\xf0", // cut short
	"\xc3\xc3", "\xe2\x28\xa1", "\xe2\x82\x28", "\xf0\x28\x8c\xbc", "\xf0\x90\x28\xbc", // wrong continuation
}

var validUTF8 = []string{
	"κόσμε", "弹幕", "\U0001F600", "\x00", "\x7f", "\u0080", "\u07ff", "\u0800", "\uffff",
	"\U00010000", "\U0010ffff", "\ud7ff", "\ue000", "\ufffd", "\ufdd0", "Hello-µ@ßöäüàá-UTF-8!!",
}

func utf8Cases() []rfcCase {
	var cases []rfcCase
	for _, s := range invalidUTF8 {
		frame := "ok κ" + s + " rest"
		cases = append(cases,
			bad(fmt.Sprintf("text %+q", s), 1007, stream{}.text("before").text(frame), text("before")),
			bad(fmt.Sprintf("text ends with %+q", s), 1007, stream{}.text("κ"+s)),
			ok(fmt.Sprintf("binary %+q", s), stream{}.binary(s), blob(s)))
		for i := 0; i <= len(s); i++ {
			cases = append(cases, bad(fmt.Sprintf("text %+q fragmented at %d", s, i), 1007,
				stream{}.frame(OpText, false, s[:i]).ping("").frame(OpContinuation, true, s[i:]),
				pingIf(i < len(s) && !failsEarly(s[:i]) || i == len(s) && !failsEarly(s))...))
		}
	}
	for _, s := range validUTF8 {
		cases = append(cases, ok(fmt.Sprintf("text %+q", s), stream{}.text(s), text(s)))
		for i := 1; i < len(s); i++ {
			cases = append(cases, ok(fmt.Sprintf("text %+q fragmented at %d", s, i),
				stream{}.frame(OpText, false, s[:i]).ping("").frame(OpContinuation, true, s[i:]), ping(""), text(s)))
		}
	}
	return append(cases,
		bad("unfinished text that cannot become valid", 1007, stream{}.frame(OpText, false, "a\xed\xa0")),
		bad("unfinished frame that cannot become valid", 1007, stream{}.text("a\xf4\x90\x80\x80")[:9]),
		ok("unfinished text that can become valid", stream{}.frame(OpText, false, "a\xed\x9f")),
	)
}

// failsEarly reports whether s can be refused without waiting for more: it is
// no prefix of any valid text. It tries the possible ends, independently of
// the implementation.
func failsEarly(s string) bool {
	for _, tail := range []string{
		"", "\x80", "\x80\x80", "\x80\x80\x80", "\xa0", "\xa0\x80", "\x90", "\x90\x80", "\x90\x80\x80",
	} {
		if strings.ToValidUTF8(s+tail, "") == s+tail {
			return false
		}
	}
	return true
}

func pingIf(happens bool) []event {
	if happens {
		return []event{ping("")}
	}
	return nil
}

func closeCases() []rfcCase {
	frame := func(code int, reason string) stream {
		return stream{}.frame(OpClose, true, string([]byte{byte(code >> 8), byte(code)})+reason)
	}
	long := strings.Repeat("r", maxControl-2)
	cases := []rfcCase{
		ok("close without a code", stream{}.frame(OpClose, true, ""), closing(CloseNoStatus, "")),
		ok("close with a long reason", frame(1000, long), closing(1000, long)),
		ok("close with a UTF-8 reason", frame(1001, "再见"), closing(1001, "再见")),
		ok("frames after a close", frame(1000, "").text("late").ping("late"), closing(1000, "")),
		ok("garbage after a close", append(frame(1000, ""), "\xff\xff\xff\xff"...), closing(1000, "")),
		ok("second close", append(frame(1000, "a"), frame(1001, "b")...), closing(1000, "a")),
		ok("close inside a message", append(stream{}.frame(OpText, false, "a"), frame(1000, "")...), closing(1000, "")),
		bad("close payload of one byte", 1002, stream{}.frame(OpClose, true, "\x03")),
		bad("close reason ends early", 1007, frame(1000, "\xe5\x86")),
	}
	for _, code := range []int{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999} {
		cases = append(cases, ok(fmt.Sprintf("close %d", code), frame(code, "bye"), closing(CloseCode(code), "bye")))
	}
	for _, code := range []int{0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535} {
		cases = append(cases, bad(fmt.Sprintf("close %d", code), 1002, frame(code, "")))
	}
	for _, s := range invalidUTF8 {
		cases = append(cases, bad(fmt.Sprintf("close reason %+q", s), 1007, frame(1000, "bye"+s+"!")))
	}
	return cases
}

func limitCases() []rfcCase {
	small := Limits{MaxMessage: 10}
	few := Limits{MaxFrames: 3}
	fragments := func(n int, payload string) stream {
		s := stream{}.frame(OpBinary, false, payload)
		for range n - 2 {
			s = s.frame(OpContinuation, false, payload)
		}
		return s.frame(OpContinuation, true, payload)
	}
	over := func(n uint64) stream {
		s := stream{0x82, 0xFF}
		for i := range 8 {
			s = append(s, byte(n>>(56-8*i)))
		}
		return s
	}
	return []rfcCase{
		ok("message at the limit", stream{}.text("0123456789"), text("0123456789")).with(small),
		bad("message over the limit", 1009, stream{}.text("0123456789a")).with(small),
		bad("message over the default limit", 1009, stream{}.binary(strings.Repeat("x", 64<<10+1))),
		ok("fragments at the limit", stream{}.frame(OpText, false, "01234").frame(OpContinuation, true, "56789"),
			text("0123456789")).with(small),
		bad("fragments over the limit", 1009, stream{}.frame(OpText, false, "01234").
			frame(OpContinuation, true, "56789a")).with(small),
		ok("the limit is per message", stream{}.text("0123456789").text("0123456789"),
			text("0123456789"), text("0123456789")).with(small),
		bad("length 2^31", 1009, over(1<<31)),
		bad("length 2^32", 1009, over(1<<32)),
		bad("length 2^62", 1009, over(1<<62)),
		bad("length 2^63-1", 1009, over(1<<63-1)),
		bad("length 2^63", 1002, over(1<<63)),
		bad("length 2^64-1", 1002, over(1<<64-1)),
		ok("frames at the limit", fragments(3, "f"), blob("fff")).with(few),
		bad("frames over the limit", 1009, fragments(4, "f")).with(few),
		bad("empty frames over the limit", 1009, fragments(4, "")).with(few),
		ok("frames at the default limit", fragments(1024, "f"), blob(strings.Repeat("f", 1024))),
		bad("frames over the default limit", 1009, fragments(1025, "")),
		ok("control frames are no fragments", stream{}.frame(OpText, false, "a").ping("p").ping("p").ping("p").
			frame(OpContinuation, true, "b"), append(pingEvents(3), text("ab"))...).with(few),
		ok("pings at the default burst", pings(20), pingEvents(20)...),
		bad("pings over the default burst", 1008, pings(21), pingEvents(20)...),
		bad("pings over the burst", 1008, pings(3), pingEvents(2)...).with(Limits{ControlBurst: 2}),
		bad("pongs over the burst", 1008, stream{}.ping("p").frame(OpPong, true, ""), ping("p")).with(Limits{ControlBurst: 1}),
		ok("close is not counted", pings(1).frame(OpClose, true, ""), ping("p"), closing(CloseNoStatus, "")).
			with(Limits{ControlBurst: 1}),
	}
}
