package ws

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
)

// bomb is 1 GiB of zeros, compressed to about 1 MiB. It repeats the blocks of
// 1 MiB, which refer to nothing before themselves.
var bomb = sync.OnceValue(func() []byte {
	piece := append(AppendDeflated(nil, make([]byte, 1<<20)), syncTail...)
	return bytes.TrimSuffix(bytes.Repeat(piece, 1<<10), []byte(syncTail))
})

func TestBombIsOneGiB(t *testing.T) {
	f := getInflater(1 << 30)
	defer f.release()
	f.count = true
	f.src.reset(bomb()[:(len(bomb())+len(syncTail))/1024], finalTail)
	if err := f.runStream(nil); err != nil || f.n != 1<<20 {
		t.Errorf("one of 1024 pieces inflates to %d bytes with %v, want 1 MiB", f.n, err)
	}
}

// TestDeflateBomb asserts that a bomb is refused and allocates at most twice the
// message limit, with cold pools, whatever the limit and however it is sent.
func TestDeflateBomb(t *testing.T) {
	frame := AppendMaskedFrame(nil, OpBinary, true, true, testKey, bomb())
	var fragments []byte
	for chunk := range slices.Chunk(bomb(), 4000) {
		op, first := OpContinuation, len(fragments) == 0
		if first {
			op = OpBinary
		}
		fragments = AppendMaskedFrame(fragments, op, false, first, testKey, chunk)
	}
	start := AppendMaskedFrame(nil, OpBinary, true, true, testKey, bomb()[:60<<10])
	for _, limit := range []int{64 << 10, 200 << 10, 1 << 20} {
		for name, wire := range map[string][]byte{"frame": frame, "fragments": fragments, "60 KiB of it": start} {
			for _, size := range []int{len(wire), 100} {
				p := NewParser(ServerRole, &Limits{MaxMessage: limit}, true)
				input := slices.Clone(wire)
				h := &nopHandler{}
				var err error
				emptyPools()
				got := allocated(func() {
					for piece := range slices.Chunk(input, size) {
						if err = p.Feed(t0, piece, h); err != nil {
							break
						}
					}
				})
				var ce *CloseError
				if !errors.As(err, &ce) || ce.Code != CloseMessageTooBig || h.messages > 0 {
					t.Errorf("%s by %d, limit %d: %v, want close 1009", name, size, limit, err)
				}
				if got > uint64(2*limit) {
					t.Errorf("%s by %d, limit %d: allocated %d", name, size, limit, got)
				}
			}
		}
	}
}

func TestInflateReusesItsPool(t *testing.T) {
	payload := AppendDeflated(nil, []byte(strings.Repeat("hello ", 100)))
	allocs := testing.AllocsPerRun(100, func() {
		f, err := inflate(payload, 1000)
		if err != nil {
			t.Fatal(err)
		}
		f.release()
	})
	if allocs > 1 && !raceEnabled {
		t.Errorf("%v allocations with warm pools, want at most 1", allocs)
	}
}

func TestInflateErrorKeepsNothing(t *testing.T) {
	for range 10 {
		if _, err := inflate([]byte("\x07"), 100); !errors.Is(err, errCorrupt) {
			t.Fatalf("garbage: %v, want errCorrupt", err)
		}
		f, err := inflate([]byte(deflated("fine")), 100)
		if err != nil || string(f.bytes()) != "fine" {
			t.Fatalf("after an error: %v", err)
		}
		f.release()
	}
}

func TestIsBomb(t *testing.T) {
	zeros := AppendDeflated(nil, make([]byte, 1<<20))
	for n, want := range map[int]bool{0: false, 10: false, len(zeros): true} {
		if got := isBomb(zeros[:n], 100<<10); got != want {
			t.Errorf("isBomb of %d bytes = %t, want %t", n, got, want)
		}
	}
}

func TestInflateSource(t *testing.T) {
	s := &inflateSource{[]byte("data"), "tail"}
	c, _ := s.ReadByte()
	rest, err := io.ReadAll(s)
	if string(c)+string(rest) != "datatail" || err != nil {
		t.Errorf("read %q and %q, %v", c, rest, err)
	}
	if _, err := s.ReadByte(); err != io.EOF {
		t.Errorf("ReadByte at the end = %v, want io.EOF", err)
	}
}
