package parts

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/liveim/im/internal/wire"
)

// events returns events like those of a live room.
func events(n int) []wire.Event {
	all := make([]wire.Event, n)
	for i := range all {
		body := fmt.Appendf(nil, `{"text":"%s%d","color":16777215}`, phrases[i%len(phrases)], i)
		all[i] = wire.Event{
			Seq: uint64(i + 1), ID: fmt.Sprintf("AbCdEfGh%08d", i), Kind: "danmaku", At: 1764000000000,
			From: &wire.Author{ID: fmt.Sprintf("u%d", i), Name: "小明"}, Body: body,
		}
	}
	return all
}

// BenchmarkEncode is events as clients get them: each encoded, and all put into one
// message. At 1 that is what a quiet room sends, at 20 a flush of a busy one.
func BenchmarkEncode(b *testing.B) {
	for _, n := range []int{1, 20, 200} {
		all := events(n)
		run := func(impl string, encode func() (size int)) {
			b.Run(fmt.Sprintf("events=%d/impl=%s", n, impl), func(b *testing.B) {
				size := 0
				b.ReportAllocs()
				for b.Loop() {
					size = encode()
				}
				b.SetBytes(int64(size))
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/event")
			})
		}
		var message, one []byte
		encoded := make([][]byte, n)
		run("im", func() int {
			one = one[:0]
			for i := range all {
				start := len(one)
				one = wire.AppendEvent(one, &all[i])
				encoded[i] = one[start:]
			}
			message = wire.AppendEvents(message[:0], "42", 0, uint64(n), encoded)
			return len(message)
		})
		run("encoding_json", func() int {
			message, err := json.Marshal(&wire.Message{Op: wire.OpEvents, Room: "42", To: uint64(n), Events: all})
			if err != nil {
				b.Fatal(err)
			}
			return len(message)
		})
	}
}

// BenchmarkParseRequests is what a client sends: one danmaku, and as many requests as come at most after a
// client was offline. im also checks the limits of the protocol (depth, number, ids, UTF-8).
func BenchmarkParseRequests(b *testing.B) {
	one := `{"op":"send","id":12,"room":"42","kind":"danmaku","cid":"c-1234","body":{"text":"前方高能","color":16777215}}`
	for _, n := range []int{1, 20} {
		data := []byte(one)
		if n > 1 {
			data = []byte("[" + one)
			for range n - 1 {
				data = append(append(data, ','), one...)
			}
			data = append(data, ']')
		}
		run := func(impl string, parse func([]byte) ([]wire.Request, error)) {
			b.Run(fmt.Sprintf("requests=%d/impl=%s", n, impl), func(b *testing.B) {
				b.SetBytes(int64(len(data)))
				b.ReportAllocs()
				for b.Loop() {
					if got, err := parse(data); err != nil || len(got) != n {
						b.Fatalf("%d requests of %d, %v", len(got), n, err)
					}
				}
			})
		}
		run("im", wire.ParseRequests)
		run("encoding_json", func(data []byte) (all []wire.Request, err error) {
			if n > 1 {
				err = json.Unmarshal(data, &all)
				return all, err
			}
			all = make([]wire.Request, 1)
			err = json.Unmarshal(data, &all[0])
			return all, err
		})
	}
}
