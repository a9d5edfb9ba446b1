//go:build !unix || portable

package sock

import (
	"net"
	"syscall"
)

type writeOp struct{}

func rawConn(net.Conn) syscall.RawConn { return nil }

func (c *Conn) readReady(uintptr) bool { return true }

func (c *Conn) writeReady(uintptr) bool { return true }

// sendNow is not reached: without a descriptor every send is parked.
func (c *Conn) sendNow([][]byte, int) (int, error) { return 0, nil }
