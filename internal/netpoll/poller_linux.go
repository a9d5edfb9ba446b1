//go:build linux && !portable

package netpoll

import (
	"fmt"
	"os"
	"sync"
	"syscall"
)

// Available says that this system has epoll.
const Available = true

// Poller is the epoll set of a process. [Join] brings it into being, and the last
// [Poller.Leave] ends it: a process without connections has none. All methods are
// safe for use by many goroutines.
type Poller struct {
	set   *os.File // the epoll descriptor, which Go's poller watches
	fd    int
	crew  crew
	ended chan struct{} // closed when loop has returned

	mu    sync.Mutex           // guards slots
	slots []*[slotsAtOnce]slot // by descriptor
}

const slotsAtOnce = 128

// slot is what is known of one descriptor. A number that is used again is told
// from its past by the generation, which events carry.
type slot struct {
	watcher    Watcher
	generation int32
}

// shared is the process's poller, if it has one.
var shared struct {
	mu    sync.Mutex // guards what follows
	it    *Poller
	users int
}

// Join returns the process's poller. Each Join is followed by one Leave.
func Join() (*Poller, error) {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.it == nil {
		p, err := start()
		if err != nil {
			return nil, err
		}
		shared.it = p
	}
	shared.users++
	return shared.it, nil
}

// Leave gives the poller up. What the caller has added must be removed. The last
// user ends the poller, and returns when no watcher is called any more; tasks that
// run go on to their end.
func (p *Poller) Leave() {
	shared.mu.Lock()
	shared.users--
	last := shared.users == 0
	if last {
		shared.it = nil
		_ = p.set.Close()
	}
	shared.mu.Unlock()
	if last {
		<-p.ended
	}
}

func start() (*Poller, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("netpoll: create an epoll set: %w", err)
	}
	if err := syscall.SetNonblock(fd, true); err != nil { // tells os.NewFile to watch it
		_ = syscall.Close(fd)
		return nil, fmt.Errorf("netpoll: create an epoll set: %w", err)
	}
	p := &Poller{set: os.NewFile(uintptr(fd), "epoll"), fd: fd, ended: make(chan struct{})}
	raw, err := p.set.SyscallConn()
	if err != nil {
		_ = p.set.Close()
		return nil, fmt.Errorf("netpoll: watch an epoll set: %w", err)
	}
	go p.loop(raw)
	return p, nil
}

// edges are what is asked for, once for the life of a descriptor.
const edges = syscall.EPOLLIN | syscall.EPOLLOUT | syscall.EPOLLRDHUP | edgeTriggered

// edgeTriggered is EPOLLET, whose sign in package syscall depends on the system.
const edgeTriggered = 1 << 31

// Add watches a descriptor, of which nobody else may be a watcher. What it is
// ready for already is told as well.
func (p *Poller) Add(fd int, w Watcher) error {
	return p.control(syscall.EPOLL_CTL_ADD, fd, p.enter(fd, w))
}

// Rearm has the watcher told again what the descriptor is ready for, now or as
// soon as it is. It is for a caller that found no room and cannot know whether the
// edge has come already.
func (p *Poller) Rearm(fd int) error {
	p.mu.Lock()
	generation := int32(0)
	if s := p.slotLocked(fd); s != nil {
		generation = s.generation
	}
	p.mu.Unlock()
	return p.control(syscall.EPOLL_CTL_MOD, fd, generation)
}

// Remove forgets a descriptor that is about to be closed, which takes it out of
// the epoll set. It does nothing for one that was never added.
func (p *Poller) Remove(fd int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.slotLocked(fd); s != nil {
		s.watcher = nil
		s.generation++
	}
}

// Go has t done on one of the poller's goroutines. It does not block.
func (p *Poller) Go(t Task) { p.crew.run(t) }

func (p *Poller) enter(fd int, w Watcher) (generation int32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for fd/slotsAtOnce >= len(p.slots) {
		p.slots = append(p.slots, new([slotsAtOnce]slot))
	}
	s := p.slotLocked(fd)
	s.watcher = w
	return s.generation
}

// slotLocked returns nil if there was no descriptor so high.
func (p *Poller) slotLocked(fd int) *slot {
	if fd/slotsAtOnce >= len(p.slots) {
		return nil
	}
	return &p.slots[fd/slotsAtOnce][fd%slotsAtOnce]
}

func (p *Poller) control(op, fd int, generation int32) error {
	event := syscall.EpollEvent{Events: edges, Fd: int32(fd), Pad: generation}
	if err := syscall.EpollCtl(p.fd, op, fd, &event); err != nil {
		return fmt.Errorf("netpoll: watch a connection: %w", err)
	}
	return nil
}

// wakeup is one event with the watcher that it is for.
type wakeup struct {
	watcher Watcher
	events  uint32
}

// loop is a goroutine. It ends when the set is closed.
func (p *Poller) loop(raw syscall.RawConn) {
	defer close(p.ended)
	defer p.crew.close()
	const most = 256 // at once
	events := make([]syscall.EpollEvent, most)
	wakeups := make([]wakeup, 0, most)
	n := 0
	collect := func(fd uintptr) bool {
		var err error
		n, err = syscall.EpollWait(int(fd), events, 0)
		return err == nil && n > 0
	}
	for raw.Read(collect) == nil {
		wakeups = p.find(wakeups[:0], events[:n])
		for _, w := range wakeups {
			w.watcher.Ready(
				w.events&syscall.EPOLLIN != 0,
				w.events&syscall.EPOLLOUT != 0,
				w.events&(syscall.EPOLLRDHUP|syscall.EPOLLHUP|syscall.EPOLLERR) != 0)
		}
		clear(wakeups)
	}
}

// find appends the watchers of events to dst. Events of descriptors that were
// removed since are left out.
func (p *Poller) find(dst []wakeup, events []syscall.EpollEvent) []wakeup {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range events {
		e := &events[i]
		if s := p.slotLocked(int(e.Fd)); s != nil && s.watcher != nil && s.generation == e.Pad {
			dst = append(dst, wakeup{s.watcher, e.Events})
		}
	}
	return dst
}
