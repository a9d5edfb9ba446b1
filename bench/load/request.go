//go:build linux

package load

import (
	"bytes"
	"errors"
	"fmt"
	"net/textproto"
	"strings"
)

// The key of every handshake, and the answer that RFC 6455 wants to it.
const (
	key    = "dGhlIHNhbXBsZSBub25jZQ=="
	accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
)

// request returns what the client asks first. All servers get the same headers; X-Client
// names the client, for those that want to know.
func (c *conn) request(s *Swarm) []byte {
	d := s.opts.Dialect
	path := d.Path
	switch s.opts.Way {
	case Stream:
		path = d.Stream
	case Poll:
		path = d.Poll
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "GET %s%s HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\nX-Client: %d\r\n", path(c.room(s)), c.poll.query(), s.opts.Address, c.index)
	if s.opts.Way == WebSocket {
		b.WriteString("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key + "\r\n")
		if d.Protocol != "" {
			b.WriteString("Sec-WebSocket-Protocol: " + d.Protocol + "\r\n")
		}
		if s.opts.Deflate {
			b.WriteString("Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover; server_no_context_takeover\r\n")
		}
	}
	b.WriteString("\r\n")
	return b.Bytes()
}

// answered looks at the head of the answer and says hello.
func (c *conn) answered(s *Swarm, head []byte) error {
	status, header, err := parseHead(head)
	if err != nil {
		return err
	}
	if s.opts.Way == Stream {
		if status != "200" {
			return fmt.Errorf("the stream was answered with status %s", status)
		}
		if header.Get("Transfer-Encoding") != "" {
			return errors.New("the stream comes in chunks, which this client cannot read")
		}
		return nil
	}
	if status != "101" || header.Get("Sec-Websocket-Accept") != accept {
		return fmt.Errorf("the handshake was answered with status %s", status)
	}
	if ext := strings.ToLower(header.Get("Sec-Websocket-Extensions")); ext != "" {
		if !s.opts.Deflate || !strings.Contains(ext, "permessage-deflate") {
			return fmt.Errorf("the server answered with the extension %q, which was not offered", ext)
		}
		if !strings.Contains(ext, "server_no_context_takeover") {
			return errors.New("the server takes over the context of compression, so that no two clients get the same bytes and this client cannot count them: switch that off")
		}
		c.deflate = true
	}
	c.pong = func(payload []byte) error {
		if err := c.send(appendFrame(nil, opPong, payload)); err != nil && !errors.Is(err, errFull) {
			return err
		}
		return nil // a pong that the socket has no room for can be left out
	}
	var hello []byte
	if s.opts.Dialect.Hello != nil {
		for _, text := range s.opts.Dialect.Hello(c.room(s)) {
			hello = appendFrame(hello, opText, text)
		}
		return c.send(hello)
	}
	return nil
}

// parseHead reads the head of an answer, without the empty line behind it.
func parseHead(head []byte) (status string, _ textproto.MIMEHeader, err error) {
	first, rest, _ := strings.Cut(string(head), "\r\n")
	fields := strings.Fields(first)
	if len(fields) < 2 || !strings.HasPrefix(fields[0], "HTTP/1.") {
		return "", nil, fmt.Errorf("the answer begins with %q: is that a web server?", first)
	}
	header := textproto.MIMEHeader{}
	for line := range strings.SplitSeq(rest, "\r\n") {
		if k, v, ok := strings.Cut(line, ":"); ok {
			header.Add(strings.TrimSpace(k), strings.TrimSpace(v))
		}
	}
	return fields[1], header, nil
}
