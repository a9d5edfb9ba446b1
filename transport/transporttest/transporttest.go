// Package transporttest is the contract of package transport as a test suite.
//
//	func TestConformance(t *testing.T) {
//		transporttest.Run(t, func(t testing.TB) transporttest.Harness { return newHarness(t) })
//	}
//
// Each case is a subtest that opens connections of its own. A case that fails says
// what a transport has to do. The suite looks for what is against the rules at all
// times: calls before Start, after Closed, or of two goroutines at once. It does
// not look for leaked goroutines; use goleak in TestMain.
package transporttest

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/liveim/im/transport"
)

// Harness opens connections of the transport under test.
type Harness interface {
	// Open connects a client and returns both ends. The suite calls Start, and
	// ends the connection from the hub's side before the case is over.
	//
	// The hub's side should hold less than 8 MiB that the peer has not read, and
	// linger for less than 5 seconds after Finish.
	Open(t testing.TB) (transport.Conn, Peer)
}

// Peer is the client of a connection. Send and Recv are each called by one
// goroutine at a time, at the same time as each other and as Close. All of them
// are unblocked when the hub's side is gone.
type Peer interface {
	// Send sends one message. It may block while the hub does not read.
	Send(msg []byte) error
	// Recv returns the next message. It answers heartbeats by itself. The error is
	// a *CloseError if the hub has said farewell; it is another one at the end of a
	// transport whose Conn.Farewell is nil.
	Recv() ([]byte, error)
	// Close ends the connection at once, without a farewell.
	Close() error
}

// Violator is a Peer that can break the rules of the transport. The case is
// skipped without it.
type Violator interface {
	// Violate sends something that is against them.
	Violate() error
}

// Pinger is a Peer that can ask the hub's side for a sign of life, which the
// transport answers through Session.Control. The case is skipped without it.
type Pinger interface {
	// Ping sends a ping that carries the payload.
	Ping(payload []byte) error
	// Pong returns the payload of the next answer. It drops messages.
	Pong() ([]byte, error)
}

// Staller is a Peer that can break the transport's time limit. The case is
// skipped without it.
type Staller interface {
	// Stall sends the first part of a message.
	Stall() error
	// Limit is the time that the transport gives it to send the rest.
	Limit() time.Duration
}

// CloseError is the hub's farewell as the peer got it.
type CloseError struct {
	Code   int
	Reason string
}

// Error returns the reason.
func (e *CloseError) Error() string { return "closed: " + e.Reason }

// Run runs every case as a subtest. newHarness is called once a case.
func Run(t *testing.T, newHarness func(t testing.TB) Harness) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			c.run(&fixture{T: t, harness: newHarness(t)})
		})
	}
}

// RunInBubbles is like [Run], with every case in a bubble of testing/synctest.
// There the cases that show that something does not happen are exact.
func RunInBubbles(t *testing.T, newHarness func(t testing.TB) Harness) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c.run(&fixture{T: t, harness: newHarness(t), bubble: true})
			})
		})
	}
}

// cases are the contract. Names complete the sentence "the transport ...".
var cases = []struct {
	name string
	run  func(*fixture)
}{
	{"carries messages whole and in order both ways", testOrder},
	{"sends many buffers at once", testManyBuffers},
	{"carries large messages", testLargeMessages},
	{"says Writable once after each short TrySend", testShort},
	{"says Writable once even if it races with TrySend", testShortRace},
	{"leaves buffers as they are", testBuffersUntouched},
	{"mixes its formats in one stream", testFormats},
	{"calls nothing before Start", testBeforeStart},
	{"does not read on before Receive has returned", testBackPressure},
	{"stops after an error of Receive", testReceiveError},
	{"survives a panic in Receive", testReceivePanic},
	{"survives a Goexit in Receive", testReceiveGoexit},
	{"survives a panic in Writable", testWritablePanic},
	{"elicits Alive by its heartbeat", testHeartbeat},
	{"asks for Control messages that stand alone", testControl},
	{"knows a peer that is overdue", testOverdue},
	{"calls Closed once when the peer closes", testPeerClose},
	{"calls Closed once after Abort", testAbort},
	{"calls Closed once if Abort came before Start", testAbortBeforeStart},
	{"calls Closed after Abort within Receive", testAbortInReceive},
	{"calls Closed after Abort while sending waits", testAbortFull},
	{"calls Closed once and last in a stampede", testStampede},
	{"reports a violation, and delivers the farewell", testViolation},
	{"delivers everything before it finishes", testFinish},
	{"finishes although the peer never reads", testFinishUnread},
}
