package ws

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestRoundTrip encodes random messages with random fragments, compression and
// control frames in between, splits the bytes at random and parses them.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		deflate := rapid.Bool().Draw(t, "deflate")
		w := wireWriter{role: Role(rapid.IntRange(0, 1).Draw(t, "role"))}
		for range rapid.IntRange(0, 5).Draw(t, "messages") {
			w.drawMessage(t, deflate)
		}
		if rapid.Bool().Draw(t, "close") {
			w.frame(t, OpClose, true, false, AppendClose(nil, 4000, "bye"))
			w.want = append(w.want, closing(4000, "bye"))
		}
		maxPiece := rapid.SampledFrom([]int{1, 3, 20, 1000, 1 << 20}).Draw(t, "maxPiece")
		pieces := splitBy(w.wire, func() int { return rapid.IntRange(1, maxPiece).Draw(t, "piece") })

		var rec recorder
		p := NewParser(w.role, &Limits{ControlBurst: 1000}, deflate)
		for _, piece := range pieces {
			if err := p.Feed(t0, slices.Clone(piece), &rec); err != nil {
				t.Fatalf("Feed = %v", err)
			}
		}
		if !slices.Equal(rec.events, w.want) {
			t.Fatalf("got %v, want %v", rec.events, w.want)
		}
		if p.message != nil || p.control != nil || p.pending {
			t.Fatal("the parser holds something between messages")
		}
	})
}

// wireWriter encodes what one side sends and keeps what the other must see.
type wireWriter struct {
	role Role // of the reader
	wire []byte
	want []event
}

func (w *wireWriter) drawMessage(t *rapid.T, deflate bool) {
	op, payload := OpBinary, rapid.SliceOfN(rapid.Byte(), 0, 3000).Draw(t, "binary")
	if rapid.Bool().Draw(t, "isText") {
		op, payload = OpText, []byte(rapid.StringN(0, 1000, 4000).Draw(t, "text"))
	}
	message := event{kind: op.String(), data: string(payload)}
	compressed := deflate && rapid.Bool().Draw(t, "compressed")
	if compressed {
		payload = AppendDeflated(nil, payload)
	}
	for first := true; ; first = false {
		n := rapid.IntRange(0, len(payload)).Draw(t, "fragment")
		fin := n == len(payload)
		if !first {
			op = OpContinuation
		}
		w.frame(t, op, fin, compressed && first, payload[:n])
		if payload = payload[n:]; fin {
			break
		}
		if rapid.Bool().Draw(t, "ping") {
			control := rapid.SliceOfN(rapid.Byte(), 0, maxControl).Draw(t, "payload")
			w.frame(t, OpPing, true, false, control)
			w.want = append(w.want, ping(string(control)))
		}
	}
	w.want = append(w.want, message)
}

func (w *wireWriter) frame(t *rapid.T, op Opcode, fin, rsv1 bool, payload []byte) {
	if w.role == ClientRole {
		w.wire = AppendFrame(w.wire, op, fin, rsv1, payload)
		return
	}
	key := [4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "key"))
	w.wire = AppendMaskedFrame(w.wire, op, fin, rsv1, key, payload)
}
