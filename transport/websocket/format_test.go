package websocket_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/liveim/im/internal/ws"
	"github.com/liveim/im/transport"
	"github.com/liveim/im/transport/websocket"
)

// decode parses one stream of frames.
type decode struct {
	handler
	got [][]byte
}

func (d *decode) Message(_ ws.Opcode, payload []byte) error {
	d.got = append(d.got, bytes.Clone(payload))
	return nil
}

func TestFormats(t *testing.T) {
	small, medium, large := []byte(`"x"`), bytes.Repeat([]byte("ab"), 150), bytes.Repeat([]byte("danmaku "), 20_000)
	tough := make([]byte, 300)
	for i := range tough {
		tough[i] = byte(32 + i*i*7919%90)
	}
	deflated := websocket.Deflated{Threshold: 256}
	for _, tt := range []struct {
		name       string
		format     transport.Format
		message    []byte
		compressed bool
	}{
		{"text", websocket.Text{}, large, false},
		{"below the threshold", deflated, small, false},
		{"above the threshold", deflated, medium, true},
		{"large", deflated, large, true},
		{"does not shrink", websocket.Deflated{Threshold: 1}, []byte("q"), false},
		{"threshold 0", websocket.Deflated{}, medium, true},
		{"tough", deflated, tough, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			wire := tt.format.Append(nil, tt.message)
			if compressed := wire[0]&0x40 != 0; compressed != tt.compressed {
				t.Errorf("compressed = %v, want %v", compressed, tt.compressed)
			}
			if limit := len(tt.message) + 10; len(wire) > limit {
				t.Errorf("%d bytes on the wire for %d", len(wire), len(tt.message))
			}
			var d decode
			parser := ws.NewParser(ws.ClientRole, &ws.Limits{MaxMessage: 1 << 20}, true)
			defer parser.Release()
			if err := parser.Feed(time.Now(), wire, &d); err != nil {
				t.Fatal(err)
			}
			if len(d.got) != 1 || !bytes.Equal(d.got[0], tt.message) {
				t.Error("the message does not survive its format")
			}
		})
	}
}

func TestSharedFormatFollowsTheHandshake(t *testing.T) {
	for _, tt := range []struct {
		options websocket.Options
		want    transport.Format
	}{
		{websocket.Options{}, websocket.Text{}},
		{websocket.Options{Deflate: true}, websocket.Deflated{Threshold: 256}},
		{websocket.Options{Deflate: true, DeflateThreshold: 99}, websocket.Deflated{Threshold: 99}},
	} {
		conn, _ := newServer(t, setup{options: tt.options}).open(t)
		if conn.Shared() != tt.want || conn.Private() != (websocket.Text{}) {
			t.Errorf("%+v: formats %v and %v, want %v", tt.options, conn.Private(), conn.Shared(), tt.want)
		}
		conn.Abort()
	}
}
