//go:build linux

package load

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/liveim/im/bench/rig"
)

const testSize = 120

var began = time.Unix(0, 1764000000000000000)

// batch is the payload of a frame with some messages, in the envelope that servers put
// around them.
func batch(first, n uint64) []byte {
	b := []byte(`{"op":"events","events":[`)
	for i := range n {
		b = append(b, `{"seq":1,"body":`...)
		b = rig.Message(b, first+i, began, testSize)
		b = append(b, "},"...)
	}
	return append(b, ']', '}')
}

// frame is one of a server.
func frame(head byte, payload []byte) []byte {
	switch {
	case len(payload) < 126:
		return append([]byte{head, byte(len(payload))}, payload...)
	case len(payload) < 1<<16:
		return append(binary.BigEndian.AppendUint16([]byte{head, 126}, uint16(len(payload))), payload...)
	}
	return append(binary.BigEndian.AppendUint64([]byte{head, 127}, uint64(len(payload))), payload...)
}

func deflated(t testing.TB, p []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(p); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\x00\x00\xff\xff"))
}

// reader gives a scanner a stream in pieces, as a connection does.
type reader struct {
	scanner
	t     tally
	rest  []byte
	pongs int
}

func newReader(sampled bool) *reader {
	r := &reader{}
	r.t.skip = testSize - 1
	r.joined, r.deflate = `"op":"joined"`, true
	r.pong = func(p []byte) error { r.pongs++; return nil }
	if sampled {
		r.sample = &sample{}
	}
	return r
}

func (r *reader) feed(piece []byte) error {
	b := append(r.rest, piece...)
	used, err := r.take(&r.t, b)
	if err == nil && len(b)-used >= keep {
		err = fmt.Errorf("%d bytes were left over", len(b)-used)
	}
	r.rest = append([]byte(nil), b[used:]...)
	return err
}

// everything is a stream with frames of each kind, and 30 messages that count.
func everything(t testing.TB) []byte {
	old := batch(1, 3) // history comes with the joined
	whole := batch(16, 4)
	compressed := deflated(t, batch(20, 5))
	var b []byte
	b = append(b, frame(0x81, []byte(`{"op":"welcome"}`))...)
	b = append(b, frame(0x81, append([]byte(`{"op":"joined","events":`), old...))...)
	b = append(b, frame(0x81, batch(1, 1))...)
	b = append(b, frame(0x89, []byte(strings.Repeat("p", 125)))...)
	b = append(b, frame(0x82, batch(2, 10))...)
	b = append(b, frame(0x81, nil)...)
	b = append(b, frame(0xc1, deflated(t, batch(12, 4)))...)
	b = append(b, frame(0x01, whole[:177])...) // in the middle of a message
	b = append(b, frame(0x00, nil)...)
	b = append(b, frame(0x8a, nil)...) // between the parts
	b = append(b, frame(0x80, whole[177:])...)
	b = append(b, frame(0x41, compressed[:9])...)
	b = append(b, frame(0x80, compressed[9:])...)
	b = append(b, frame(0x81, batch(25, 6))...)
	return b
}

func check(t *testing.T, r *reader, how string) {
	t.Helper()
	if r.got != 30 || r.t.messages != 30 || r.pongs != 1 || len(r.rest) > 0 {
		t.Fatalf("%s: %d messages, %d pongs, %d bytes left over", how, r.got, r.pongs, len(r.rest))
	}
	if s := r.sample; s != nil {
		if s.doubles+s.disordered > 0 || s.last != 30 || s.seen[0] != 1<<31-2 || r.t.latency.Total() != 30 {
			t.Fatalf("%s: the sample is %+v with %d latencies", how, s, r.t.latency.Total())
		}
	}
}

func TestScannerCountsWhereverTheStreamIsCut(t *testing.T) {
	stream := everything(t)
	for _, sampled := range []bool{false, true} {
		for cut := range len(stream) + 1 {
			r := newReader(sampled)
			if err := r.feed(stream[:cut]); err != nil {
				t.Fatalf("cut at %d: %v", cut, err)
			}
			if err := r.feed(stream[cut:]); err != nil {
				t.Fatalf("cut at %d: %v", cut, err)
			}
			check(t, r, fmt.Sprintf("cut at %d, sampled %t", cut, sampled))
		}
		for _, step := range []int{1, 2, 7, 63, 64, 65, 130} {
			r := newReader(sampled)
			for at := 0; at < len(stream); at += step {
				if err := r.feed(stream[at:min(at+step, len(stream))]); err != nil {
					t.Fatalf("pieces of %d: %v", step, err)
				}
			}
			check(t, r, fmt.Sprintf("pieces of %d, sampled %t", step, sampled))
		}
	}
}

func TestScannerSeesDoublesAndDisorder(t *testing.T) {
	r := newReader(true)
	r.joined = ""
	for _, n := range []uint64{1, 2, 2, 5, 4, 3, 200} {
		if err := r.feed(frame(0x81, batch(n, 1))); err != nil {
			t.Fatal(err)
		}
	}
	if r.got != 7 || r.sample.doubles != 1 || r.sample.disordered != 2 {
		t.Errorf("%d messages, %d doubles, %d out of order", r.got, r.sample.doubles, r.sample.disordered)
	}
}

func TestScannerRefusesNonsense(t *testing.T) {
	for name, b := range map[string][]byte{
		"masked":              {0x81, 0x80},
		"unknown opcode":      frame(0x83, nil),
		"stray continuation":  frame(0x80, nil),
		"long ping":           {0x89, 126, 0, 126},
		"close":               frame(0x88, []byte{0x0f, 0xa0}),
		"message in message":  append(frame(0x01, nil), frame(0x81, nil)...),
		"compressed in parts": append(frame(0x01, nil), frame(0xc0, nil)...),
		"endless":             {0x81, 127, 0xff, 0, 0, 0, 0, 0, 0, 0},
	} {
		if err := newReader(false).feed(b); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	r := newReader(false)
	r.deflate = false
	if err := r.feed(frame(0xc1, deflated(t, batch(1, 1)))); err == nil {
		t.Error("compressed, but not agreed on: no error")
	}
}

// BenchmarkScanner says how many messages one thread can count, apart from the reads.
func BenchmarkScanner(b *testing.B) {
	for _, size := range []uint64{1, 200} {
		for _, sampled := range []bool{false, true} {
			b.Run(fmt.Sprintf("batch=%d/sampled=%t", size, sampled), func(b *testing.B) {
				stream := bytes.Repeat(frame(0x81, batch(1, size)), int(max(1, 200/size)))
				r := newReader(sampled)
				r.joined = ""
				b.SetBytes(int64(len(stream)))
				for b.Loop() {
					if err := r.feed(stream); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(r.got)/b.Elapsed().Seconds(), "messages/s")
			})
		}
	}
}
