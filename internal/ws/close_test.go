package ws

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestValidOnWire(t *testing.T) {
	valid := map[CloseCode]bool{}
	for _, c := range []CloseCode{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014} {
		valid[c] = true
	}
	for c := range 1 << 16 {
		code := CloseCode(c)
		if want := valid[code] || c >= 3000 && c < 5000; code.ValidOnWire() != want {
			t.Errorf("CloseCode(%d).ValidOnWire() = %t, want %t", c, !want, want)
		}
	}
}

func TestAppendClose(t *testing.T) {
	for _, c := range []struct {
		code         CloseCode
		reason, want string
	}{
		{1000, "", "\x03\xe8"},
		{4000, "bye", "\x0f\xa0bye"},
		{CloseNoStatus, "bye", ""},
		{0, "bye", ""},
		{1000, "bad \xff utf-8", "\x03\xe8bad \uFFFD utf-8"},
		{1000, strings.Repeat("a", 124), "\x03\xe8" + strings.Repeat("a", 123)},
		{1000, strings.Repeat("弹", 42), "\x03\xe8" + strings.Repeat("弹", 41)},
		{1000, "a" + strings.Repeat("弹", 42), "\x03\xe8a" + strings.Repeat("弹", 40)},
		{1000, "aa" + strings.Repeat("\U0001F600", 42), "\x03\xe8aa" + strings.Repeat("\U0001F600", 30)},
	} {
		got := string(AppendClose(nil, c.code, c.reason))
		if got != c.want {
			t.Errorf("AppendClose(%d, %q) = %q, want %q", c.code, c.reason, got, c.want)
		}
		if len(got) > maxControl || got != "" && !utf8.ValidString(got[2:]) {
			t.Errorf("AppendClose(%d, %q) does not fit a close frame", c.code, c.reason)
		}
	}
}

func TestCloseErrorText(t *testing.T) {
	if got := (&CloseError{1000, ""}).Error(); got != "websocket close 1000" {
		t.Errorf("without a reason: %q", got)
	}
	if got := (&CloseError{1002, "mask"}).Error(); got != "websocket close 1002: mask" {
		t.Errorf("with a reason: %q", got)
	}
}

func TestOpcodeString(t *testing.T) {
	for op, want := range map[Opcode]string{
		OpContinuation: "continuation", OpText: "text", OpBinary: "binary",
		OpClose: "close", OpPing: "ping", OpPong: "pong", 3: "reserved opcode 3",
	} {
		if got := op.String(); got != want {
			t.Errorf("Opcode(%d) is %q, want %q", byte(op), got, want)
		}
	}
}
