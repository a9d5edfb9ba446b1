package ws

import (
	"bytes"
	"testing"
)

// TestFrameRFCExamples are the examples of RFC 6455 section 5.7.
func TestFrameRFCExamples(t *testing.T) {
	hello := []byte("Hello")
	for name, c := range map[string]struct{ got, want []byte }{
		"unmasked text":   {AppendFrame(nil, OpText, true, false, hello), []byte("\x81\x05Hello")},
		"masked text":     {AppendMaskedFrame(nil, OpText, true, false, testKey, hello), []byte("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58")},
		"first fragment":  {AppendFrame(nil, OpText, false, false, hello[:3]), []byte("\x01\x03Hel")},
		"second fragment": {AppendFrame(nil, OpContinuation, true, false, hello[3:]), []byte("\x80\x02lo")},
		"ping":            {AppendFrame(nil, OpPing, true, false, hello), []byte("\x89\x05Hello")},
		"masked pong":     {AppendMaskedFrame(nil, OpPong, true, false, testKey, hello), []byte("\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58")},
		"compressed":      {AppendFrame(nil, OpText, true, true, nil), []byte("\xc1\x00")},
		"appended":        {AppendFrame([]byte("before"), OpText, true, false, hello), []byte("before\x81\x05Hello")},
	} {
		if !bytes.Equal(c.got, c.want) {
			t.Errorf("%s: % x, want % x", name, c.got, c.want)
		}
	}
	if string(hello) != "Hello" {
		t.Error("AppendMaskedFrame changed its payload")
	}
}

func TestHeaderSize(t *testing.T) {
	for n, want := range map[int]int{0: 2, 125: 2, 126: 4, 65535: 4, 65536: 10} {
		if got := HeaderSize(n); got != want {
			t.Errorf("HeaderSize(%d) = %d, want %d", n, got, want)
		}
		if got := len(AppendFrame(nil, OpBinary, true, false, make([]byte, n))); got != want+n {
			t.Errorf("a frame of %d bytes takes %d, want %d", n, got, want+n)
		}
	}
}
