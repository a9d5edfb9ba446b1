//go:build linux

package writeloop

import (
	"slices"
	"sync"

	"github.com/liveim/im/bench/rig"
	"github.com/liveim/im/internal/uring"
	"golang.org/x/sys/unix"
)

// Batched is the write loop with its writes batched by io_uring: the least that this
// way to send can cost. ok is false where the system has none.
func Batched() (p rig.Peer, ok bool) {
	if uring.Probe() != nil {
		return rig.Peer{}, false
	}
	p = Peer()
	p.Name = "write loop, io_uring"
	p.New = func(setup rig.Setup) (rig.Server, error) {
		ring, err := uring.New(ringSize)
		if err != nil {
			return nil, err
		}
		return &server{setup: setup, rooms: make([]room, setup.Rooms), volley: &volley{ring: ring}}, nil
	}
	return p, true
}

// ringSize is how many writes enter the kernel together.
const ringSize = 256

type volley struct {
	mu   sync.Mutex // protects the ring, which is taken after that of a room
	ring *uring.Ring
}

// publish writes the frame of a room, whose lock the caller holds, to all viewers.
func (v *volley) publish(r *room) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	lost := make(map[int]bool)
	for some := range slices.Chunk(r.viewers, ringSize) {
		for _, fd := range some {
			v.ring.Send(fd, r.frame)
		}
		results, err := v.ring.Submit()
		if err != nil {
			return err
		}
		for i, fd := range some {
			if n := max(int(results[i]), 0); n < len(r.frame) && write(fd, r.frame[n:]) != nil {
				_ = unix.Close(fd)
				lost[fd] = true
			}
		}
	}
	r.viewers = slices.DeleteFunc(r.viewers, func(fd int) bool { return lost[fd] })
	return nil
}
