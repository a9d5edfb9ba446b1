//go:build linux

package host

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Process is a server in a process of its own. Close ends it.
type Process struct {
	*Control
	cmd    *exec.Cmd
	stderr tail
	ended  chan error
}

// Start runs this program again with args, which have to lead it to [Run]. core is the
// processor to which it is bound, or -1.
func Start(core int, args ...string) (*Process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &Process{cmd: exec.Command(self, args...), ended: make(chan error, 1)}
	p.cmd.Stderr = &p.stderr
	in, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	p.cmd.Stdout = writer
	err = Pin(core, p.cmd.Start) // a process inherits the processors of the thread that starts it
	_ = writer.Close()
	if err != nil {
		_ = reader.Close()
		return nil, err
	}
	p.Control = Connect(in, reader)
	go func() {
		p.ended <- p.cmd.Wait()
		_ = reader.Close()
	}()
	return p, nil
}

// patience is how long a process may take to end.
const patience = 2 * time.Second

// Close ends the process, by force if it must, and returns an error if it had failed before.
func (p *Process) Close() error {
	timer := time.AfterFunc(patience, func() { _ = p.cmd.Process.Kill() })
	_ = p.Control.Close()
	err := <-p.ended
	if !timer.Stop() {
		return nil // it was slow to end; what it was for is done
	}
	if err != nil {
		return fmt.Errorf("%w: %s", err, p.stderr.String())
	}
	return nil
}

// Said is the last of what the process has written to its standard error.
func (p *Process) Said() string { return p.stderr.String() }

// Pin runs f on a thread that is bound to a processor, if core is not -1. What f
// starts is bound as well.
func Pin(core int, f func() error) error {
	if core < 0 {
		return f()
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var old, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &old); err != nil {
		return os.NewSyscallError("sched_getaffinity", err)
	}
	one.Set(core)
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return fmt.Errorf("processor %d is not this process's to use: %w", core, err)
	}
	return errors.Join(f(), os.NewSyscallError("sched_setaffinity", unix.SchedSetaffinity(0, &old)))
}

// tail keeps the last few KiB that were written. The zero value is ready.
type tail struct {
	mu   sync.Mutex // protects text
	text []byte
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	const most = 4 << 10
	t.text = append(t.text, b...)
	t.text = t.text[max(0, len(t.text)-most):]
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text)
}
