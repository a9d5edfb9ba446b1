package ws

import (
	"fmt"
	"strings"
	"testing"
)

func BenchmarkParserFeed(b *testing.B) {
	for _, n := range []int{32, 512, 16 << 10} {
		payload := strings.Repeat("x", n)
		for name, wire := range map[string]stream{
			"whole":    stream{}.text(payload),
			"deflated": stream{}.rsv1(OpText, true, deflated(payload)),
		} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) { benchmarkFeed(b, wire, len(wire)) })
		}
		b.Run(fmt.Sprintf("halves/%d", n), func(b *testing.B) {
			wire := stream{}.text(payload)
			benchmarkFeed(b, wire, (len(wire)+1)/2)
		})
	}
}

func benchmarkFeed(b *testing.B, wire []byte, size int) {
	p := NewParser(ServerRole, nil, true)
	h := &nopHandler{}
	data := make([]byte, len(wire))
	b.ReportAllocs()
	b.SetBytes(int64(len(wire)))
	for b.Loop() {
		copy(data, wire)
		for rest := data; len(rest) > 0; {
			n := min(size, len(rest))
			if err := p.Feed(t0, rest[:n], h); err != nil {
				b.Fatal(err)
			}
			rest = rest[n:]
		}
	}
}

func BenchmarkMask(b *testing.B) {
	for _, n := range []int{7, 32, 512, 16 << 10} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			data := make([]byte, n)
			b.SetBytes(int64(n))
			for b.Loop() {
				Mask(testKey, 1, data)
			}
		})
	}
}

func BenchmarkAppendFrame(b *testing.B) {
	payload := make([]byte, 512)
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		dst = AppendFrame(dst[:0], OpText, true, false, payload)
	}
}

func BenchmarkAppendDeflated(b *testing.B) {
	for _, n := range []int{32, 512, 16 << 10} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			payload := []byte(strings.Repeat(`{"t":"msg","room":"r1","text":"弹幕"}`, n/32+1)[:n])
			var dst []byte
			b.ReportAllocs()
			b.SetBytes(int64(n))
			for b.Loop() {
				dst = AppendDeflated(dst[:0], payload)
			}
		})
	}
}
