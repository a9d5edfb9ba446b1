package parts

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/liveim/im/internal/ws"
	"github.com/lxzan/gws"
)

var (
	sizes = []int{16, 200, 1 << 10, 16 << 10, 64 << 10} // bytes of a message
	key   = [4]byte{0xA7, 0x15, 0x3C, 0x99}
)

// payload returns events as they are in a message, cut to the size: text of which about half are Chinese
// characters.
func payload(size int) []byte {
	rng := rand.New(rand.NewPCG(1, uint64(size)))
	var text []byte
	for n := 0; len(text) < size; n++ {
		text = fmt.Appendf(text, `{"seq":%d,"id":"%016x","kind":"danmaku","body":{"text":"%s%d"}},`, n, rng.Uint64(), phrases[rng.IntN(len(phrases))], rng.IntN(1000))
	}
	text = bytes.ToValidUTF8(text[:size], nil)
	return append(text, "xxx"[:size-len(text)]...)
}

var phrases = []string{"前方高能反应，非战斗人员请撤离！", "主播今天的直播真是太精彩了", "哈哈哈哈哈哈", "第一次来，请多关照", "hello from Berlin", "666"}

// BenchmarkParse is a server that reads masked messages: text in one frame and in four, and binary. im and gws
// check that text is UTF-8; gorilla does not, so binary is where all three do the same.
func BenchmarkParse(b *testing.B) {
	for _, kind := range []struct {
		name   string
		op     ws.Opcode
		frames int
	}{{"text", ws.OpText, 1}, {"text in 4 frames", ws.OpText, 4}, {"binary", ws.OpBinary, 1}} {
		for _, size := range sizes {
			wire := masked(kind.op, payload(size), kind.frames)
			for _, impl := range []struct {
				name  string
				parse func(b *testing.B, t *tape) (messages int)
			}{{"im", parseIM}, {"gorilla", parseGorilla}, {"gws", parseGWS}} {
				b.Run(fmt.Sprintf("%s/size=%d/impl=%s", kind.name, size, impl.name), func(b *testing.B) {
					t := &tape{loop: bytes.Repeat(wire, 1+(256<<10)/len(wire)), left: b.N * len(wire)}
					b.SetBytes(int64(size))
					b.ReportAllocs()
					if got := impl.parse(b, t); got != b.N {
						b.Fatalf("%d messages came of %d.", got, b.N)
					}
				})
			}
		}
	}
}

func masked(op ws.Opcode, message []byte, frames int) (wire []byte) {
	each := (len(message) + frames - 1) / frames
	for len(message) > 0 {
		n := min(each, len(message))
		wire = ws.AppendMaskedFrame(wire, op, n == len(message), false, key, message[:n])
		op, message = ws.OpContinuation, message[n:]
	}
	return wire
}

func parseIM(b *testing.B, t *tape) int {
	p, h, buf := ws.NewParser(ws.ServerRole, nil, false), &counted{}, make([]byte, readSize)
	for {
		n, err := t.Read(buf)
		if err != nil {
			return h.messages
		}
		if err := p.Feed(time.Now(), buf[:n], h); err != nil {
			b.Fatal(err)
		}
	}
}

func parseGorilla(b *testing.B, t *tape) (messages int) {
	conn := gorillaServer(b, t, false)
	var message bytes.Buffer // used again: ReadMessage would allocate
	b.ResetTimer()
	for {
		_, r, err := conn.NextReader()
		if err != nil {
			return messages
		}
		message.Reset()
		if _, err := message.ReadFrom(r); err != nil {
			b.Fatal(err)
		}
		messages++
	}
}

func parseGWS(b *testing.B, t *tape) int {
	h := &counted{}
	conn := gwsServer(b, t, h, true)
	b.ResetTimer()
	conn.ReadLoop()
	return h.messages
}

// counted is both im's and gws's handler.
type counted struct {
	gws.BuiltinEventHandler
	messages int
}

func (c *counted) Message(ws.Opcode, []byte) error  { c.messages++; return nil }
func (c *counted) Ping([]byte) error                { return nil }
func (c *counted) Pong([]byte) error                { return nil }
func (c *counted) Close(ws.CloseCode, string) error { return nil }
func (c *counted) OnMessage(_ *gws.Conn, m *gws.Message) {
	c.messages++
	_ = m.Close()
}

// BenchmarkWrite is a message for one connection: a server's and, with a mask, a client's.
func BenchmarkWrite(b *testing.B) {
	for _, size := range sizes {
		message := payload(size)
		for _, mask := range []bool{false, true} {
			run := func(impl string, write func(*tape) func() error) {
				b.Run(fmt.Sprintf("masked=%t/size=%d/impl=%s", mask, size, impl), func(b *testing.B) {
					t := &tape{}
					one := write(t)
					t.taken = 0
					b.SetBytes(int64(size))
					b.ReportAllocs()
					for b.Loop() {
						if err := one(); err != nil {
							b.Fatal(err)
						}
					}
					if t.taken < b.N*size {
						b.Fatalf("%d bytes were written for %d messages of %d bytes.", t.taken, b.N, size)
					}
				})
			}
			run("im", func(t *tape) func() error { return writeIM(t, message, mask) })
			run("gorilla", func(t *tape) func() error {
				conn := gorillaServer(b, t, false)
				if mask {
					conn = gorillaClient(b, t)
				}
				return func() error { return conn.WriteMessage(websocket.TextMessage, message) }
			})
			run("gws", func(t *tape) func() error {
				conn := gwsServer(b, t, gws.BuiltinEventHandler{}, false)
				if mask {
					conn = gwsClient(b, t)
				}
				return func() error { return conn.WriteMessage(gws.OpcodeText, message) }
			})
		}
	}
}

func writeIM(t *tape, message []byte, mask bool) func() error {
	var frame []byte
	return func() error {
		if mask {
			frame = ws.AppendMaskedFrame(frame[:0], ws.OpText, true, false, key, message)
		} else {
			frame = ws.AppendFrame(frame[:0], ws.OpText, true, false, message)
		}
		_, err := t.Write(frame)
		return err
	}
}

// BenchmarkPrepare is what is done once for a message that goes to many: frame it, with
// deflate after compressing it, and give it to the first connection.
func BenchmarkPrepare(b *testing.B) {
	for _, size := range sizes[1:] {
		message := payload(size)
		for _, deflate := range []bool{false, true} {
			name := fmt.Sprintf("deflate=%t/size=%d/impl=", deflate, size)
			b.Run(name+"im", func(b *testing.B) {
				t := &tape{}
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := t.Write(prepareIM(message, deflate)); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(t.taken)/float64(b.N), "wireB/op")
			})
			b.Run(name+"gorilla", func(b *testing.B) {
				t := &tape{}
				conn := gorillaServer(b, t, deflate)
				t.taken = 0
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					m, err := websocket.NewPreparedMessage(websocket.TextMessage, message)
					if err = errors.Join(err, conn.WritePreparedMessage(m)); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(t.taken)/float64(b.N), "wireB/op")
			})
		}
	}
}

func prepareIM(message []byte, deflate bool) []byte {
	if deflate {
		message = ws.AppendDeflated(nil, message)
	}
	frame := make([]byte, 0, ws.HeaderSize(len(message))+len(message))
	return ws.AppendFrame(frame, ws.OpText, true, deflate, message)
}
