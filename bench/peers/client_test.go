package peers_test

import (
	"bufio"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/liveim/im/bench/rig"
)

const (
	opcodeText = 1
	opcodePing = 9
	opcodePong = 10
)

// client follows a dialect over a connection of its own, as the load generator does.
type client struct {
	t        *testing.T
	conn     net.Conn
	r        *bufio.Reader
	deflated int // messages that came compressed
	got      int // number of the newest message of the comparison
}

// join returns a client that is in the room.
func join(t *testing.T, address string, d rig.Dialect, room int, deflate bool) *client {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	c := &client{t: t, conn: conn, r: bufio.NewReader(conn)}
	c.handshake(address, d, room, deflate)
	if d.Hello != nil {
		for _, message := range d.Hello(room) {
			c.send(opcodeText, message)
		}
	}
	for d.Joined != "" {
		if opcode, message := c.next(); opcode == opcodeText && bytes.Contains(message, []byte(d.Joined)) {
			break
		}
	}
	c.send(opcodePing, []byte("in?")) // answered when the room knows the client
	for {
		if opcode, _ := c.next(); opcode == opcodePong {
			return c
		}
	}
}

func (c *client) handshake(address string, d rig.Dialect, room int, deflate bool) {
	c.t.Helper()
	request := "GET " + d.Path(room) + " HTTP/1.1\r\nHost: " + address + "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	if d.Protocol != "" {
		request += "Sec-WebSocket-Protocol: " + d.Protocol + "\r\n"
	}
	if deflate {
		request += "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n"
	}
	if _, err := io.WriteString(c.conn, request+"\r\n"); err != nil {
		c.t.Fatal(err)
	}
	response, err := http.ReadResponse(c.r, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusSwitchingProtocols {
		c.t.Fatalf("The handshake was answered with %s.", response.Status)
	}
	extensions := response.Header.Get("Sec-WebSocket-Extensions")
	if got := strings.Contains(extensions, "permessage-deflate"); got != deflate {
		c.t.Fatalf("Deflate was asked for: %t, the server answered %q.", deflate, extensions)
	}
	if deflate && !strings.Contains(extensions, "server_no_context_takeover") {
		c.t.Fatalf("The server keeps its compression context: %q.", extensions)
	}
}

// send writes a masked frame; the mask is zero.
func (c *client) send(opcode byte, payload []byte) {
	c.t.Helper()
	frame := []byte{0x80 | opcode, 0x80 | byte(len(payload)), 0, 0, 0, 0}
	if len(payload) > 125 {
		c.t.Fatalf("This client sends at most 125 bytes, not %d.", len(payload))
	}
	if _, err := c.conn.Write(append(frame, payload...)); err != nil {
		c.t.Fatal(err)
	}
}

// next returns the next message, inflated.
func (c *client) next() (opcode byte, message []byte) {
	c.t.Helper()
	opcode, compressed, message, err := c.read()
	if err == nil && compressed {
		c.deflated++
		tail := strings.NewReader("\x00\x00\xff\xff\x01\x00\x00\xff\xff")
		message, err = io.ReadAll(flate.NewReader(io.MultiReader(bytes.NewReader(message), tail)))
	}
	if err != nil {
		c.t.Fatalf("A message could not be read: %v", err)
	}
	return opcode, message
}

// read returns the next message as it came. A message may come in several frames.
func (c *client) read() (opcode byte, compressed bool, message []byte, err error) {
	for first := true; ; first = false {
		var head [10]byte
		if _, err = io.ReadFull(c.r, head[:2]); err != nil {
			return
		}
		if first {
			opcode, compressed = head[0]&0x0F, head[0]&0x40 != 0
		} else if head[0]&0x0F != 0 {
			return 0, false, nil, fmt.Errorf("frame 0x%x came before the end of a message", head[0])
		}
		size := uint64(head[1])
		switch size {
		case 126:
			_, err = io.ReadFull(c.r, head[2:4])
			size = uint64(binary.BigEndian.Uint16(head[2:4]))
		case 127:
			_, err = io.ReadFull(c.r, head[2:])
			size = binary.BigEndian.Uint64(head[2:])
		}
		if err != nil {
			return
		}
		payload := make([]byte, size)
		if _, err = io.ReadFull(c.r, payload); err != nil {
			return
		}
		message = append(message, payload...)
		if head[0]&0x80 != 0 {
			return
		}
	}
}
