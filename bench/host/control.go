//go:build linux

// Package host is the process of a server under test: it publishes what it is told
// to, and says what that took. Commands come in on its standard input, one JSON object a
// line, and replies go out on its standard output.
package host

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// Verb is what a command asks for.
type Verb string

// The verbs. A reply has that of its command; Ready comes by itself.
const (
	Ready    Verb = "ready"    // the server listens at Reply.Address
	Publish  Verb = "publish"  // Rate messages a second in each room for For; answered when they are published
	Saturate Verb = "saturate" // publish as fast as Lowest allows, until Stop; answered at once
	Lowest   Verb = "lowest"   // what the client that got least has got; not answered
	Stop     Verb = "stop"     // end Saturate
	Usage    Verb = "usage"    // what the process has used
	Memory   Verb = "memory"   // the same, after everything was given back that could be
)

// Command is one line to the process.
type Command struct {
	Do     Verb          `json:"do"`
	Rate   float64       `json:"rate,omitempty"` // messages a second in each room
	Size   int           `json:"size,omitempty"` // of each, in bytes
	For    time.Duration `json:"for,omitempty"`
	Window uint64        `json:"window,omitempty"` // how far a room may be ahead of Lowest
	Lowest uint64        `json:"lowest,omitempty"`
}

// Reply is one line of the process.
type Reply struct {
	Do        Verb          `json:"do"`
	Error     string        `json:"error,omitempty"`
	Address   string        `json:"address,omitempty"`
	Published []uint64      `json:"published,omitempty"` // messages of each room, from the start
	Late      time.Duration `json:"late,omitempty"`      // how far the publisher was behind at most
	Used      Used          `json:"used,omitzero"`
}

// Used is what a process has used.
type Used struct {
	At           time.Time     `json:"at"`
	User, System time.Duration // of processors, from its start
	RSS          int64         // bytes in memory now
	Goroutines   int
}

// Control is the other end: it talks to a process. It is used by one goroutine.
type Control struct {
	in      io.WriteCloser
	encoder *json.Encoder
	replies chan Reply
	done    sync.WaitGroup
}

// Connect talks to a process by its input and output. Close ends that.
func Connect(in io.WriteCloser, out io.Reader) *Control {
	c := &Control{in: in, encoder: json.NewEncoder(in), replies: make(chan Reply, 16)}
	c.done.Go(func() {
		defer close(c.replies)
		for d := json.NewDecoder(out); ; {
			var r Reply
			if d.Decode(&r) != nil {
				return
			}
			c.replies <- r
		}
	})
	return c
}

// Send sends a command and does not wait.
func (c *Control) Send(cmd Command) error {
	if err := c.encoder.Encode(cmd); err != nil {
		return fmt.Errorf("the server's process takes no commands: %w", err)
	}
	return nil
}

// Reply returns a reply if there is one.
func (c *Control) Reply() (_ Reply, ok bool, err error) {
	select {
	case r, open := <-c.replies:
		return r, open, fault(r, open)
	default:
		return Reply{}, false, nil
	}
}

// Wait returns the next reply.
func (c *Control) Wait(limit time.Duration) (Reply, error) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case r, open := <-c.replies:
		return r, fault(r, open)
	case <-timer.C:
		return Reply{}, fmt.Errorf("the server's process says nothing for %v", limit)
	}
}

func fault(r Reply, open bool) error {
	switch {
	case !open:
		return errors.New("the server's process has ended")
	case r.Error != "":
		return fmt.Errorf("the server: %s", r.Error)
	}
	return nil
}

// Close tells the process to end, and waits until it says nothing more.
func (c *Control) Close() error {
	err := c.in.Close()
	for range c.replies { // somebody may wait to be heard
	}
	c.done.Wait()
	return err
}
