//go:build linux

package load

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// stream takes a stream of server-sent events, which is nothing but text.
func (c *conn) stream(t *tally, b []byte) (used int, err error) {
	if c.joined != "" {
		c.message = append(c.message, b...)
		at := bytes.Index(c.message, []byte(c.joined))
		end := bytes.Index(c.message[max(at, 0):], []byte("\n\n"))
		if at < 0 || end < 0 {
			return len(b), nil
		}
		c.joined = ""
		rest := c.message[at+end+2:]
		// Nothing is published before all clients are in, so that no message is cut here.
		t.take(&c.got, c.sample, rest, false)
		return len(b), nil
	}
	return t.take(&c.got, c.sample, b, true), nil
}

// polling is where a client that polls stands.
type polling struct {
	sid, epoch, seq string
	answer          []byte // as far as it is here
}

// query is what the next request says of it, in the way of this repository's long-poll.
func (p *polling) query() string {
	if p == nil || p.sid == "" {
		return ""
	}
	return "&since=" + p.epoch + "." + p.seq + "&sid=" + p.sid
}

// polled takes a part of an answer to a poll, and asks again when it is whole.
func (c *conn) polled(s *Swarm, b []byte) error {
	p := c.poll
	p.answer = append(p.answer, b...)
	end := bytes.Index(p.answer, []byte("\r\n\r\n"))
	if end < 0 {
		return nil
	}
	status, header, err := parseHead(p.answer[:end+2])
	if err != nil {
		return err
	}
	length, err := strconv.Atoi(header.Get("Content-Length"))
	if status != "200" || err != nil || strings.EqualFold(header.Get("Connection"), "close") {
		return fmt.Errorf("a poll was answered with status %s, Content-Length %q and Connection %q", status, header.Get("Content-Length"), header.Get("Connection"))
	}
	body := p.answer[end+4:]
	switch {
	case len(body) < length:
		return nil
	case len(body) > length:
		return fmt.Errorf("%d bytes follow the answer to a poll", len(body)-length)
	}
	if c.joined != "" {
		head, _, _ := bytes.Cut(body, []byte(`"events":`)) // events have a "seq" too
		p.sid, p.epoch, p.seq = value(head, `"sid":"`), value(head, `"epoch":"`), value(head, `"seq":`)
		if !bytes.Contains(body, []byte(c.joined)) || p.sid == "" || p.epoch == "" || p.seq == "" {
			return fmt.Errorf("the first poll was answered with %.300s", body)
		}
		c.joined, c.stage = "", entering
	} else {
		s.take(&c.got, c.sample, body, false)
		if seq := value(body, `"to":`); seq != "" {
			p.seq = seq
		}
	}
	p.answer = p.answer[:0]
	return c.send(c.request(s))
}

// value returns what follows the last such key in a text, to the next quote, comma or brace.
func value(text []byte, key string) string {
	_, rest, ok := bytes.Cut(text[max(0, bytes.LastIndex(text, []byte(key))):], []byte(key))
	if !ok {
		return ""
	}
	return string(rest[:max(0, bytes.IndexAny(rest, `",}`))])
}
