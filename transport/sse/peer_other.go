//go:build !linux

package sse

import (
	"net"
	"time"
)

// setUserTimeout has no portable form.
func setUserTimeout(*net.TCPConn, time.Duration) {}
