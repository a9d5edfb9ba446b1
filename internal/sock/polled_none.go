//go:build !linux || portable

package sock

import "net"

// takeOver is not possible here, so that nothing below is reached.
func (c *Conn) takeOver(net.Conn) bool { return false }

func (c *Conn) startPolled([]byte) {}

// Hold reports false: there is no descriptor.
func (c *Conn) Hold() (fd int, ok bool) { return 0, false }

// Release does nothing.
func (c *Conn) Release() {}

func (c *Conn) shutdown() {}

func (c *Conn) drain() error { return errClosed }

func (c *Conn) sendPolled([][]byte, int) (int, error) { return 0, errClosed }
