//go:build !linux || portable

package netpoll

// Available says that this system has no epoll.
const Available = false

// Poller does not exist here.
type Poller struct{}

// Join returns [ErrUnavailable].
func Join() (*Poller, error) { return nil, ErrUnavailable }

// Leave does nothing.
func (*Poller) Leave() {}

// Add returns [ErrUnavailable].
func (*Poller) Add(int, Watcher) error { return ErrUnavailable }

// Rearm returns [ErrUnavailable].
func (*Poller) Rearm(int) error { return ErrUnavailable }

// Remove does nothing.
func (*Poller) Remove(int) {}

// Go runs t on a goroutine of its own.
func (*Poller) Go(t Task) { go t.Do() }
