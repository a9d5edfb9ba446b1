//go:build linux

package storage

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// openRooms is how many rooms the large log has.
const openRooms = 1000

// bigLog is a large directory of a store.
type bigLog struct {
	peer   Peer
	dir    string
	events int   // that are in it
	bytes  int64 // of its files
	crash  crash
}

// crash ends a store without closing it: in a process of its own, which appends so many events and is killed.
type crash func(peer, dir string, events int) error

// fillBig makes a directory of about so many bytes.
func fillBig(p Peer, dir string, bytes int64, crash crash) (*bigLog, error) {
	s, err := p.Open(dir)
	if err != nil {
		return nil, err
	}
	b := &bigLog{peer: p, dir: dir, crash: crash}
	b.events, err = fill(s, roomNames(openRooms), 1<<40, func() bool {
		b.bytes, _ = sizeOf(dir)
		return b.bytes >= bytes
	})
	settle(dir)
	// What was compressed meanwhile is filled up again.
	for i := 0; err == nil && i < 3; i++ {
		if b.bytes, err = sizeOf(dir); err != nil || b.bytes >= bytes*95/100 {
			break
		}
		each := b.bytes / int64(b.events)
		var n int
		m := int((bytes - b.bytes) / max(each, 1))
		n, err = fillMore(s, m, i)
		b.events += n
		settle(dir)
	}
	return b, errors.Join(err, s.Close())
}

// fillMore stores about n further events.
func fillMore(s Store, n, turn int) (stored int, err error) {
	m := newMaker(1<<21 + turn)
	rooms := roomNames(openRooms)
	for i := 0; stored < n; i++ {
		if err := s.Fill(rooms[i%len(rooms)], m.events(fillBatch)); err != nil {
			return stored, err
		}
		stored += fillBatch
	}
	return stored, nil
}

// open returns how long it takes until the first event was read.
func (b *bigLog) open() (took time.Duration, err error) {
	began := time.Now()
	s, err := b.peer.Open(b.dir)
	if err != nil {
		return 0, err
	}
	_, last, err := s.Bounds(roomNames(1)[0])
	took = time.Since(began)
	if err == nil && last == 0 {
		err = errors.New("a room is empty after opening")
	}
	return took, errors.Join(err, s.Close())
}

// openKilled is open after the end of a process that had appended so many events by then.
func (b *bigLog) openKilled(events int) (time.Duration, error) {
	if err := b.crash(b.peer.Name, b.dir, events); err != nil {
		return 0, fmt.Errorf("a process that is to be killed: %w", err)
	}
	b.events += events
	return b.open()
}

// verify counts what is in all rooms.
func (b *bigLog) verify() error {
	s, err := b.peer.Open(b.dir)
	if err != nil {
		return err
	}
	n, err := count(s, roomNames(openRooms))
	if err := errors.Join(err, s.Close()); err != nil {
		return err
	}
	if n != b.events {
		return fmt.Errorf("%d events were acknowledged, and %d are there", b.events, n)
	}
	return nil
}

// ready is what a process prints that may be killed.
const ready = "ready"

// Crash is the part of the process that is killed: it appends, tells out that all is acknowledged, and waits.
func Crash(ctx context.Context, peer, dir string, events int, out io.Writer) error {
	for _, p := range Peers() {
		if p.Name != peer {
			continue
		}
		s, err := p.Open(dir)
		if err != nil {
			return err
		}
		// Events of a process have ids of their own.
		m, rooms := newMaker(1<<22+os.Getpid()), roomNames(openRooms)
		for i := 0; i < events; i++ {
			batch := min(fillBatch, events-i)
			room := rooms[i/fillBatch%len(rooms)]
			if err := s.Fill(room, m.events(batch-1)); err != nil {
				return err
			}
			if err := s.Append(ctx, room, m.event()); err != nil { // which is synced, and with it what came before
				return err
			}
			i += batch - 1
		}
		if _, err := fmt.Fprintln(out, ready); err != nil {
			return err
		}
		<-ctx.Done()
		return nil
	}
	return fmt.Errorf("there is no store %q", peer)
}

// CrashIn returns what starts this program with arguments that have it call Crash, and kills it.
func CrashIn(args func(peer, dir string, events int) []string) func(peer, dir string, events int) error {
	return func(peer, dir string, events int) error {
		self, err := os.Executable()
		if err != nil {
			return err
		}
		cmd := exec.Command(self, args(peer, dir, events)...)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			return err
		}
		if err := cmd.Start(); err != nil {
			return err
		}
		line, err := bufio.NewReader(out).ReadString('\n')
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // says that it was killed
		if line != ready+"\n" {
			return errors.Join(errors.New("the process has ended by itself"), err)
		}
		return nil
	}
}
