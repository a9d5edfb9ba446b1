//go:build linux

package host

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"github.com/liveim/im/bench/rig"
	"golang.org/x/sys/unix"
)

// Run is the process of a server: it obeys the commands of in until that ends.
func Run(peer rig.Peer, setup rig.Setup, in io.Reader, out io.Writer) error {
	server, err := peer.New(setup)
	if err != nil {
		return fmt.Errorf("%s: %w", peer.Name, err)
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return errors.Join(err, server.Close())
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()

	h := &host{out: json.NewEncoder(out), publisher: newPublisher(server, setup.Rooms)}
	err = h.history(setup.History)
	if err == nil {
		h.reply(Reply{Do: Ready, Address: l.Addr().String()})
		err = h.obey(in)
	}
	h.end()
	return errors.Join(err, l.Close(), server.Close(), ignore(<-served))
}

// ignore leaves out the error of a listener that was closed.
func ignore(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// host is the state of a process.
type host struct {
	*publisher
	publishing sync.WaitGroup

	mu  sync.Mutex // protects out
	out *json.Encoder
}

func (h *host) reply(r Reply) {
	h.mu.Lock()
	defer h.mu.Unlock()
	_ = h.out.Encode(r) // if nobody reads it, the input ends as well
}

// historySize is the size of the messages that a room has before anybody comes.
const historySize = 200

// history publishes what clients get when they join. It counts as nothing.
func (h *host) history(n int) error {
	for i := range n {
		for room := range h.published {
			if err := h.server.Publish(room, rig.Message(nil, uint64(i+1), time.Now(), historySize)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (h *host) obey(in io.Reader) error {
	for d := json.NewDecoder(in); ; {
		var c Command
		if err := d.Decode(&c); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		switch c.Do {
		case Lowest:
			h.advance(c.Lowest)
		case Usage, Memory:
			if c.Do == Memory {
				debug.FreeOSMemory()
				debug.FreeOSMemory() // the first has only emptied half of the pools
			}
			used, err := Measure()
			h.reply(Reply{Do: c.Do, Error: text(err), Used: used})
		case Publish:
			h.begin()
			h.publishing.Go(func() {
				late, err := h.paced(c)
				h.reply(Reply{Do: Publish, Error: text(err), Published: h.published, Late: late})
			})
		case Saturate:
			h.begin()
			h.publishing.Go(func() {
				if err := h.saturate(c); err != nil {
					h.reply(Reply{Do: Saturate, Error: text(err)})
				}
			})
			h.reply(Reply{Do: Saturate})
		case Stop:
			h.end()
			h.reply(Reply{Do: Stop, Published: h.published})
		default:
			return fmt.Errorf("the command %q is unknown", c.Do)
		}
	}
}

// begin waits for what was published before: one goroutine publishes at a time.
func (h *host) begin() {
	h.publishing.Wait()
	h.stopped.Store(false)
}

func (h *host) end() {
	h.stopped.Store(true)
	h.wake()
	h.publishing.Wait()
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// Measure says what this process has used.
func Measure() (Used, error) {
	var r unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &r); err != nil {
		return Used{}, os.NewSyscallError("getrusage", err)
	}
	rss, err := resident()
	return Used{
		At: time.Now(), User: time.Duration(r.Utime.Nano()), System: time.Duration(r.Stime.Nano()),
		RSS: rss, Goroutines: runtime.NumGoroutine(),
	}, err
}

// resident is how many bytes of this process are in memory.
func resident() (int64, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	_, rest, _ := bytes.Cut(status, []byte("VmRSS:"))
	fields := bytes.Fields(rest[:max(0, bytes.IndexByte(rest, '\n'))])
	if len(fields) == 0 {
		return 0, errors.New("/proc/self/status has no VmRSS")
	}
	kib, err := strconv.ParseInt(string(fields[0]), 10, 64)
	return kib << 10, err
}
