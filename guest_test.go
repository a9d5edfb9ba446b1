package im_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/internal/wire"
	"github.com/liveim/im/internal/ws"
)

// guest comes once, enters room 42, gets something and goes.
type guest struct {
	name    string
	addr    string
	leaving int // one of the ways below
	conn    *net.TCPConn
	r       *bufio.Reader
}

const (
	inOrder   = iota
	byReset   // with an RST
	byHalf    // closes its side, and reads on to the end
	byHalfWay // in the middle of saying something
)

// visit takes transport number i of transports.
func (g *guest) visit(i int) error {
	c, err := net.Dial("tcp", g.addr)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	g.conn, g.r = c.(*net.TCPConn), bufio.NewReader(c)
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	return []func() error{g.socket, g.stream, g.polls}[i]()
}

func (g *guest) ask(path, header string) error {
	_, err := io.WriteString(g.conn, request("GET", "/im"+path, "Authorization: Bearer "+g.name+"\r\n"+header, ""))
	return err
}

func (g *guest) frame(op ws.Opcode, payload string) []byte {
	return ws.AppendMaskedFrame(nil, op, true, false, [4]byte{}, []byte(payload))
}

func (g *guest) socket() error {
	if err := g.ask("/ws", handshake); err != nil {
		return err
	}
	resp, err := http.ReadResponse(g.r, nil)
	if err := hasStatus(resp, err, http.StatusSwitchingProtocols); err != nil {
		return err
	}
	if _, err := g.conn.Write(g.frame(ws.OpText, `{"op":"join","id":1,"room":"42"}`)); err != nil {
		return err
	}
	if err := upTo(g.r, `"op":"events"`); err != nil {
		return err
	}
	switch g.leaving {
	case inOrder:
		if _, err := g.conn.Write(g.frame(ws.OpClose, "\x03\xe8")); err != nil {
			return err
		}
		return drained(g.r)
	case byHalfWay:
		half := g.frame(ws.OpText, `{"op":"send","id":2,"room":"42","kind":"chat","body":"never said"}`)
		_, err := g.conn.Write(half[:len(half)/2])
		return err
	}
	return g.leave()
}

func (g *guest) stream() error {
	if err := g.ask("/sse?room=42", ""); err != nil {
		return err
	}
	if err := upTo(g.r, `"op":"events"`); err != nil {
		return err
	}
	if g.leaving == byHalfWay {
		_, err := g.conn.Write([]byte("G")) // of what it must not ask here
		return err
	}
	return g.leave()
}

// polls leave a session behind that nobody asks for any more.
func (g *guest) polls() error {
	query := url.Values{"room": {"42"}, "since": {""}, "wait": {"10000"}}
	for got := false; !got; {
		if err := g.ask("/poll?"+query.Encode(), ""); err != nil {
			return err
		}
		resp, err := http.ReadResponse(g.r, nil)
		if err := hasStatus(resp, err, http.StatusOK); err != nil {
			return err
		}
		var list []wire.Message
		err = json.NewDecoder(resp.Body).Decode(&list)
		_ = resp.Body.Close()
		if err != nil {
			return err
		}
		for _, m := range list {
			switch m.Op {
			case wire.OpWelcome:
				query.Set("sid", m.SID)
			case wire.OpJoined:
				query.Set("since", im.Position{Epoch: m.Epoch, Seq: m.Seq}.String())
			case wire.OpEvents:
				got = true
			}
		}
	}
	switch g.leaving {
	case inOrder:
		return nil
	case byHalfWay:
		_, err := io.WriteString(g.conn, "GET /im/poll?room=42 HTTP/1.1\r\nHost: im.exa")
		return err
	}
	query.Set("room", "elsewhere") // where nothing happens: the request waits
	query.Del("since")
	query.Del("sid")
	if err := g.ask("/poll?"+query.Encode(), ""); err != nil {
		return err
	}
	return g.leave()
}

func (g *guest) leave() error {
	switch g.leaving {
	case byReset:
		return g.conn.SetLinger(0)
	case byHalf:
		if err := g.conn.CloseWrite(); err != nil {
			return err
		}
		if err := drained(g.r); err != nil {
			return fmt.Errorf("after a half close: %w", err)
		}
	}
	return nil
}

var transports = [...]string{"WebSocket", "a stream", "polls"}

// drained reads to the end of a connection.
func drained(r io.Reader) error {
	_, err := io.Copy(io.Discard, r)
	return err
}

// upTo reads up to a text.
func upTo(r io.Reader, text string) error {
	buf := make([]byte, 4096)
	kept := 0 // the last bytes of what came before, in which the text may have begun
	for {
		n, err := r.Read(buf[kept:])
		if bytes.Contains(buf[:kept+n], []byte(text)) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("no %q: %w behind %.200q", text, err, buf[:kept+n])
		}
		kept = copy(buf, buf[max(0, kept+n-len(text)):kept+n])
	}
}

// hasStatus is an error if an answer is none, or has another status.
func hasStatus(resp *http.Response, err error, status int) error {
	if err == nil && resp.StatusCode != status {
		err = fmt.Errorf("status %d, want %d", resp.StatusCode, status)
	}
	return err
}
