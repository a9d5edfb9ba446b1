package longpoll

// Waits reports whether a request waits.
func (c *Conn) Waits() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.poll != nil
}

// Ended reports whether the Conn has ended.
func (c *Conn) Ended() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ended
}
