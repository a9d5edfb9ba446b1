package sse

import (
	"net"
	"syscall"
	"testing"
	"time"
)

// behind is a wrapper that gives access to what it wraps.
type behind struct{ net.Conn }

func (b behind) NetConn() net.Conn { return b.Conn }

func TestKernelWatchesThePeer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for timeout, want := range map[time.Duration]map[int]int{
		40 * time.Second: {syscall.TCP_KEEPIDLE: 15, syscall.TCP_KEEPINTVL: 5, syscall.TCP_KEEPCNT: 5, tcpUserTimeout: 25000},
		8 * time.Second:  {syscall.TCP_KEEPIDLE: 3, syscall.TCP_KEEPINTVL: 1, syscall.TCP_KEEPCNT: 5, tcpUserTimeout: 5000},
	} {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		watchPeer(behind{behind{c}}, timeout)
		raw, err := c.(*net.TCPConn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		for option, value := range want {
			err := raw.Control(func(fd uintptr) {
				if got, err := syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, option); got != value || err != nil {
					t.Errorf("timeout %v: option %d is %d, %v; want %d", timeout, option, got, err, value)
				}
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	watchPeer(behind{}, time.Minute) // nothing behind it
}
