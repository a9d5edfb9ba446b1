package sse_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/liveim/im/transport/sse"
)

// peer is a client that reads a stream, and sends by other ways.
type peer struct {
	conn     *sse.Conn
	response *http.Response
	lines    *bufio.Reader
	raw      net.Conn // nil over HTTP/2
	close    func()

	// What Recv has come across.
	id       string // the last one
	retry    string
	comments int
}

const request = "GET /sse HTTP/1.1\r\nHost: example.com\r\nAccept: text/event-stream\r\n\r\n"

func openHTTP1(t testing.TB, c net.Conn) *peer {
	t.Helper()
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil) //nolint:bodyclose // the body is the connection, which is closed
	if err != nil {
		t.Fatalf("read the response: %v", err)
	}
	return newPeer(t, resp, c, func() { _ = c.Close() })
}

func (s *server) openHTTP2(t testing.TB) *peer {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := s.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if resp.ProtoMajor != 2 {
		t.Fatalf("the response is %s", resp.Proto)
	}
	return newPeer(t, resp, nil, func() { cancel(); _ = resp.Body.Close() })
}

func newPeer(t testing.TB, resp *http.Response, c net.Conn, closeIt func()) *peer {
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("status %d, content type %q", resp.StatusCode, resp.Header.Get("Content-Type"))
	}
	return &peer{response: resp, lines: bufio.NewReader(resp.Body), raw: c, close: closeIt}
}

func (p *peer) Send(msg []byte) error { return p.conn.Receive(msg) }

// Recv reads the stream as a browser does.
func (p *peer) Recv() ([]byte, error) {
	data, found := "", false
	for {
		line, err := p.lines.ReadString('\n')
		if err != nil {
			return nil, err
		}
		line = line[:len(line)-1]
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case line == "":
			if found {
				return []byte(data), nil
			}
		case field == "":
			p.comments++
		case field == "data":
			data, found = data+value, true
		case field == "id":
			p.id = value
		case field == "retry":
			p.retry = value
		}
	}
}

func (p *peer) Close() error {
	p.close()
	return nil
}

// rawPeer is a peer that has the connection for itself, and can misuse it.
type rawPeer struct{ *peer }

func (p rawPeer) Violate() error {
	_, err := io.WriteString(p.raw, request)
	return err
}
