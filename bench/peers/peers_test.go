package peers_test

import (
	"bytes"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/liveim/im/bench/peers"
	"github.com/liveim/im/bench/rig"
)

const (
	messages   = 100
	many       = 5000
	quickReads = 200 // of many, before the other client reads or leaves: fewer than any queue holds

	plain = 200  // bytes of a message
	large = 4000 // bytes of a message that every library compresses, while some leave small ones as they are
)

// Two clients in one room and one in another get all messages of theirs, in order and once.
func TestEveryClientGetsEveryMessageInOrder(t *testing.T) {
	each(t, func(t *testing.T, peer rig.Peer) {
		t.Run("plain", func(t *testing.T) { twoRooms(t, peer, false, plain) })
		t.Run("deflate", func(t *testing.T) { twoRooms(t, peer, true, large) })
	})
}

func twoRooms(t *testing.T, peer rig.Peer, deflate bool, size int) {
	server, address := serve(t, peer, rig.Setup{Rooms: 2, Deflate: deflate})
	clients := []*client{
		join(t, address, peer.Dialect, 3, deflate),
		join(t, address, peer.Dialect, 4, deflate),
		join(t, address, peer.Dialect, 3, deflate),
	}
	done := make(chan error, 2)
	for _, room := range []int{3, 4} {
		go func() { done <- publish(server, room, messages, size) }()
	}
	for _, c := range clients {
		c.expect(messages)
		if (c.deflated > 0) != deflate {
			t.Errorf("Deflate was agreed upon: %t, and %d messages came compressed.", deflate, c.deflated)
		}
	}
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// A client that reads nothing for a while gets everything all the same, more than any library's queue and the
// sockets hold.
func TestASlowClientLosesNothing(t *testing.T) {
	each(t, func(t *testing.T, peer rig.Peer) {
		server, address := serve(t, peer, rig.Setup{Rooms: 1})
		quick := join(t, address, peer.Dialect, 0, false)
		slow := join(t, address, peer.Dialect, 0, false)
		done := make(chan error, 1)
		go func() { done <- publish(server, 0, many, large) }()
		quick.expect(quickReads)
		read := make(chan struct{})
		go func() {
			defer close(read)
			slow.expect(many)
		}()
		quick.expect(many)
		<-read
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// A client that leaves while the publisher waits for it holds nobody up.
func TestAClientThatLeavesHoldsNobodyUp(t *testing.T) {
	each(t, func(t *testing.T, peer rig.Peer) {
		server, address := serve(t, peer, rig.Setup{Rooms: 1})
		stays := join(t, address, peer.Dialect, 0, false)
		leaves := join(t, address, peer.Dialect, 0, false)
		done := make(chan error, 1)
		go func() { done <- publish(server, 0, many, large) }()
		stays.expect(quickReads)
		if err := leaves.conn.Close(); err != nil {
			t.Fatal(err)
		}
		stays.expect(many)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// Where a server has history, a client that joins gets the newest messages.
func TestHistory(t *testing.T) {
	each(t, func(t *testing.T, peer rig.Peer) {
		if peer.Module != "github.com/centrifugal/centrifuge" {
			t.Skip("The library has no history.")
		}
		server, address := serve(t, peer, rig.Setup{Rooms: 1, History: 20})
		if err := publish(server, 0, 50, plain); err != nil {
			t.Fatal(err)
		}
		c := join(t, address, rig.Dialect{Path: peer.Dialect.Path}, 0, false) // not in the room yet
		for _, message := range peer.Dialect.Hello(0) {
			c.send(opcodeText, message)
		}
		for {
			_, message := c.next()
			if got := numbers(t, message); len(got) > 0 {
				if len(got) != 20 || got[0] != 50 || got[19] != 31 {
					t.Errorf("The history is messages %v, not the 20 newest of 50, newest first.", got)
				}
				return
			}
		}
	})
}

// each runs the test with every peer.
func each(t *testing.T, test func(*testing.T, rig.Peer)) {
	for _, peer := range peers.Others() {
		t.Run(strings.ReplaceAll(peer.Name, ", ", "+"), func(t *testing.T) {
			if raceEnabled && peer.Module == "github.com/lesismal/nbio" {
				t.Skip("The library hands connections from one goroutine to another through epoll, which the race detector takes for a race.")
			}
			test(t, peer)
		})
	}
}

func serve(t *testing.T, peer rig.Peer, setup rig.Setup) (rig.Server, string) {
	t.Helper()
	server, err := peer.New(setup)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Errorf("Serve returned an error after its listener was closed: %v", err)
		}
		if err := server.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return server, l.Addr().String()
}

func publish(server rig.Server, room, count, size int) error {
	var message []byte
	for n := range count {
		message = rig.Message(message[:0], uint64(n+1), time.Now(), size)
		if err := server.Publish(room, message); err != nil {
			return err
		}
	}
	return nil
}

// expect reads until message last has come, and tells of any that is missing, double or out of order.
func (c *client) expect(last int) {
	c.t.Helper()
	for c.got < last {
		opcode, message := c.next()
		if opcode != opcodeText {
			continue
		}
		for _, n := range numbers(c.t, message) {
			if n != c.got+1 {
				c.t.Errorf("Message %d came after %d.", n, c.got)
				return
			}
			c.got = n
		}
	}
}

// numbers returns the n of each message of the comparison that is in a message of the server.
func numbers(t *testing.T, message []byte) []int {
	t.Helper()
	var found []int
	for part := range bytes.SplitSeq(message, []byte(rig.Marker)) {
		_, rest, ok := bytes.Cut(part, []byte(`,"n":`))
		if !ok {
			continue
		}
		digits, _, _ := bytes.Cut(rest, []byte(`,`))
		n, err := strconv.Atoi(string(digits))
		if err != nil {
			t.Errorf("A message has no number: %v", err)
		}
		found = append(found, n)
	}
	return found
}
