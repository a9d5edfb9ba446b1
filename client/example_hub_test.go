package client_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sync"

	"github.com/liveim/im/client"
)

// exampleHub stands for a server in the examples: one room, in memory. Its
// Dial method shows what a [client.Conn] takes.
type exampleHub struct{}

func (exampleHub) Dial(context.Context) (client.Conn, error) {
	c := &exampleConn{out: make(chan string, 64), gone: make(chan struct{})}
	c.out <- `{"op":"welcome","user":{"id":"u1","name":"Ann"},"heartbeat_ms":25000,"protocol":1}`
	return c, nil
}

type exampleConn struct {
	out  chan string
	gone chan struct{}
	once sync.Once

	seq, slide uint64
	value      json.RawMessage
}

func (c *exampleConn) Close() error {
	c.once.Do(func() { close(c.gone) })
	return nil
}

func (c *exampleConn) Recv(ctx context.Context) ([]byte, error) {
	select {
	case msg := <-c.out:
		return []byte(msg), nil
	case <-c.gone:
		return nil, io.EOF
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (c *exampleConn) Send(_ context.Context, msg []byte) error {
	var q struct {
		Op, Kind string
		ID       uint64
		Body     json.RawMessage
	}
	if err := json.Unmarshal(msg, &q); err != nil {
		return err
	}
	sayf := func(format string, args ...any) { c.out <- fmt.Sprintf(format, args...) }
	event := func(name, kind string, body json.RawMessage) {
		sayf(`{"op":"events","room":"42","prev":%d,"to":%d,"events":[{"seq":%d,"id":"e%d","kind":%q,"at":1764000000000,"from":{"id":"u1","name":%q},"body":%s}]}`,
			c.seq, c.seq+1, c.seq+1, c.seq+1, kind, name, body)
		c.seq++
	}
	switch q.Op {
	case "join":
		c.seq, c.slide, c.value = 100, 90, json.RawMessage("11")
		sayf(`{"op":"joined","id":%d,"room":"42","epoch":"e1","seq":100,"state":{"slide":{"value":11,"version":90}},"online":2,"events":[]}`, q.ID)
		event("Bob", "chat", json.RawMessage(`{"text":"!time"}`))
	case "send":
		sayf(`{"op":"ack","id":%d,"status":"ok","event":"e"}`, q.ID)
		event("Ann", q.Kind, q.Body)
	case "state.set":
		var change struct{ If uint64 }
		_ = json.Unmarshal(q.Body, &change)
		if change.If != c.slide {
			sayf(`{"op":"error","id":%d,"code":"conflict","reason":"slide has version %d"}`, q.ID, c.slide)
			return nil
		}
		event("Ann", "state", q.Body)
		c.slide = c.seq
		sayf(`{"op":"ack","id":%d,"status":"ok","body":{"version":%d}}`, q.ID, c.seq)
	case "leave":
		sayf(`{"op":"left","id":%d,"room":"42"}`, q.ID)
	}
	return nil
}
