package ws

import (
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"
)

func TestParserIsSmall(t *testing.T) {
	if size := unsafe.Sizeof(Parser{}); size > 144 {
		t.Errorf("an idle Parser takes %d bytes, want at most 144", size)
	}
}

func TestParserZeroValueIsAServer(t *testing.T) {
	var p Parser
	var rec recorder
	if err := p.Feed(t0, stream{}.text("a"), &rec); err != nil || !slices.Equal(rec.events, []event{text("a")}) {
		t.Errorf("got %v and %v, want the message", rec.events, err)
	}
}

// sliceHandler checks that payloads are sub-slices of what was fed.
type sliceHandler struct {
	nopHandler
	data   []byte
	copied bool
}

func (h *sliceHandler) Message(_ Opcode, payload []byte) error {
	h.messages++
	start := uintptr(unsafe.Pointer(unsafe.SliceData(h.data)))
	at := uintptr(unsafe.Pointer(unsafe.SliceData(payload)))
	h.copied = h.copied || at < start || at >= start+uintptr(len(h.data))
	return nil
}

func TestParserWholeFramesAreNotCopied(t *testing.T) {
	p := NewParser(ServerRole, nil, false)
	data := stream{}.text("first").binary("second").ping("p")
	h := &sliceHandler{data: data}
	if err := p.Feed(t0, data, h); err != nil || h.messages != 2 || h.copied {
		t.Errorf("%d messages, copied %t, error %v", h.messages, h.copied, err)
	}
	wire := stream{}.text("first").binary("second")
	data = slices.Clone(wire)
	nop := &nopHandler{}
	allocs := testing.AllocsPerRun(100, func() {
		copy(data, wire)
		_ = p.Feed(t0, data, nop)
	})
	if allocs != 0 {
		t.Errorf("%v allocations for whole frames, want none", allocs)
	}
}

// TestParserRefusesDeclaredLengths sends only the header of a huge frame.
func TestParserRefusesDeclaredLengths(t *testing.T) {
	for _, deflate := range []bool{false, true} {
		for _, c := range limitCases() {
			if !strings.HasPrefix(c.name, "length 2^") {
				continue
			}
			wire := slices.Clone(c.wire)
			if deflate {
				wire[0] |= bitRSV1
			}
			p := NewParser(ServerRole, nil, deflate)
			var err error
			emptyPools()
			got := allocated(func() { err = p.Feed(t0, wire, &nopHandler{}) })
			var ce *CloseError
			if !errors.As(err, &ce) || ce.Code != c.code {
				t.Errorf("%s: %v, want close %d", c.name, err, c.code)
			}
			if got >= 64<<10 {
				t.Errorf("%s: allocated %d bytes, want less than 64 KiB", c.name, got)
			}
		}
	}
}

// TestParserGrowsWithInput declares the largest frame and sends a part of it.
func TestParserGrowsWithInput(t *testing.T) {
	const limit = 1 << 20
	wire := AppendMaskedFrame(nil, OpBinary, true, false, testKey, make([]byte, limit))
	for _, n := range []int{20, 2000, 100_000, 1_000_000} {
		p := NewParser(ServerRole, &Limits{MaxMessage: limit}, false)
		part := slices.Clone(wire[:n])
		emptyPools()
		got := allocated(func() {
			for piece := range slices.Chunk(part, 512) {
				_ = p.Feed(t0, piece, &nopHandler{})
			}
		})
		if budget := uint64(4*n + 16<<10); got > budget {
			t.Errorf("%d bytes allocated %d, want at most %d", n, got, budget)
		}
		p.Release()
	}
}

func TestParserOverdue(t *testing.T) {
	const late = defaultMaxAssembly + 1
	starts := map[string]stream{
		"half header":           stream{}.text("abc")[:1],
		"half frame":            stream{}.text("abc")[:8],
		"half control frame":    stream{}.ping("abc")[:8],
		"half message":          stream{}.frame(OpText, false, "abc"),
		"empty fragment":        stream{}.frame(OpText, false, ""),
		"message, half message": stream{}.text("a").frame(OpText, false, "abc"),
	}
	for name, start := range starts {
		p := NewParser(ServerRole, nil, false)
		h := &nopHandler{}
		if err := p.Feed(t0, start, h); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if p.Overdue(t0.Add(late-1)) || !p.Overdue(t0.Add(late)) {
			t.Errorf("%s: want Overdue after exactly %v", name, defaultMaxAssembly)
		}
		var ce *CloseError
		if err := p.Feed(t0.Add(late), []byte{0}, h); !errors.As(err, &ce) || ce.Code != ClosePolicyViolation {
			t.Errorf("%s: Feed when overdue = %v, want close 1008", name, err)
		}
		if p.Overdue(t0.Add(2 * late)) {
			t.Errorf("%s: overdue after the parser failed", name)
		}
	}
}

func TestParserIsNotOverdue(t *testing.T) {
	const step = defaultMaxAssembly - 1
	p := NewParser(ServerRole, nil, false)
	h := &nopHandler{}
	now := t0
	feed := func(s stream) {
		t.Helper()
		if err := p.Feed(now, s, h); err != nil {
			t.Fatal(err)
		}
		now = now.Add(step)
	}
	a := stream{}.text("a")
	feed(a[:3])
	feed(append(a[3:], a[:1]...)) // the next message starts at this time
	feed(a[1:])
	ping := stream{}.ping("p")
	feed(ping[:3])
	feed(ping[3:])
	feed(stream{}.frame(OpClose, true, "")[:3])
	if now = now.Add(-step); p.Overdue(now.Add(defaultMaxAssembly)) {
		t.Error("a part is overdue at exactly the limit")
	}
	feed(stream{}.frame(OpClose, true, "")[3:])
	if p.Overdue(now.Add(time.Hour)) {
		t.Error("overdue after the close frame")
	}
}

// TestParserEndlessFragments trickles one-byte and empty fragments: the frame
// count or the time ends them, whichever comes first.
func TestParserEndlessFragments(t *testing.T) {
	for _, c := range []struct {
		payload string
		every   time.Duration
		code    CloseCode
	}{
		{"f", time.Millisecond, CloseMessageTooBig},
		{"", 9 * time.Millisecond, CloseMessageTooBig},
		{"f", 11 * time.Millisecond, ClosePolicyViolation},
		{"", time.Second, ClosePolicyViolation},
	} {
		p := NewParser(ServerRole, nil, false)
		now := t0
		err := p.Feed(now, stream{}.frame(OpBinary, false, c.payload), &nopHandler{})
		for range 2000 {
			if err != nil {
				break
			}
			now = now.Add(c.every)
			err = p.Feed(now, stream{}.frame(OpContinuation, false, c.payload), &nopHandler{})
		}
		var ce *CloseError
		if !errors.As(err, &ce) || ce.Code != c.code {
			t.Errorf("%q every %v: %v, want close %d", c.payload, c.every, err, c.code)
		}
	}
}

func TestParserHandlerError(t *testing.T) {
	for name, wire := range map[string]stream{
		"whole":      stream{}.text("a").text("b"),
		"fragmented": stream{}.frame(OpText, false, "a").frame(OpContinuation, true, "").text("b"),
		"compressed": stream{}.rsv1(OpText, true, deflated("a")).text("b"),
	} {
		p := NewParser(ServerRole, nil, true)
		rec := &recorder{err: errors.New("handler is full")}
		if err := p.Feed(t0, wire, rec); err != rec.err {
			t.Errorf("%s: Feed = %v, want the handler's error", name, err)
		}
		if err := p.Feed(t0, stream{}.text("c"), rec); err != rec.err || len(rec.events) != 1 {
			t.Errorf("%s: Feed again = %v after %v, want the same error and no more calls", name, err, rec.events)
		}
	}
}

func TestParserRelease(t *testing.T) {
	p := NewParser(ServerRole, nil, false)
	_ = p.Feed(t0, append(stream{}.frame(OpText, false, "half"), stream{}.ping("half")[:8]...), &nopHandler{})
	if p.message == nil || p.control == nil {
		t.Error("half a message and half a ping are not buffered")
	}
	p.Release()
	p.Release()
	if p.message != nil || p.control != nil || p.Overdue(t0.Add(time.Hour)) {
		t.Error("a released parser still holds something")
	}
	if err := p.Feed(t0, nil, &nopHandler{}); !errors.Is(err, ErrReleased) {
		t.Errorf("Feed after Release = %v, want ErrReleased", err)
	}
	p.Init(ServerRole, nil, false)
	if err := p.Feed(t0, stream{}.text("a"), &nopHandler{}); err != nil {
		t.Errorf("Feed after Init = %v", err)
	}
}

// TestParserIdleHoldsNothing keeps many parsers between messages, each after a
// message that came in pieces.
func TestParserIdleHoldsNothing(t *testing.T) {
	const n = 2000
	wire := stream{}.text(strings.Repeat("x", 5000))
	parsers := make([]Parser, n)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range parsers {
		for _, piece := range splitBy(slices.Clone(wire), func() int { return rng.IntN(3000) }) {
			if err := parsers[i].Feed(t0, piece, &nopHandler{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	emptyPools()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 100*n {
		t.Errorf("%d idle parsers hold %d bytes", n, grown)
	}
	runtime.KeepAlive(parsers)
}
