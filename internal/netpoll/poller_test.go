//go:build linux && !portable

package netpoll

import (
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// notes is a Watcher that passes on what it is told.
type notes chan [3]bool

func (n notes) Ready(in, out, gone bool) { n <- [3]bool{in, out, gone} }

// until returns when want has been told.
func (n notes) until(t *testing.T, want func(in, out, gone bool) bool) {
	t.Helper()
	late := time.After(10 * time.Second)
	for {
		select {
		case r := <-n:
			if want(r[0], r[1], r[2]) {
				return
			}
		case <-late:
			t.Fatal("the watcher was not told")
		}
	}
}

func (n notes) silent(t *testing.T) {
	t.Helper()
	select {
	case r := <-n:
		t.Errorf("the watcher was told in=%v out=%v gone=%v of nothing", r[0], r[1], r[2])
	case <-time.After(20 * time.Millisecond):
	}
}

func join(t *testing.T) *Poller {
	t.Helper()
	p, err := Join()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// pair returns two connected sockets, of which the first does not block.
func pair(t *testing.T) (near, far int) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.SetNonblock(fds[0], true); err != nil {
		t.Fatal(err)
	}
	return fds[0], fds[1]
}

func TestEdgesAreTold(t *testing.T) {
	p := join(t)
	defer p.Leave()
	near, far := pair(t)
	n := make(notes, 16)
	if err := p.Add(near, n); err != nil {
		t.Fatal(err)
	}
	n.until(t, func(in, out, gone bool) bool { return out && !in && !gone })
	n.silent(t)
	if _, err := syscall.Write(far, []byte("x")); err != nil {
		t.Fatal(err)
	}
	n.until(t, func(in, _, _ bool) bool { return in })
	n.silent(t) // an edge is told once, also if nobody reads
	if err := p.Rearm(near); err != nil {
		t.Fatal(err)
	}
	n.until(t, func(in, _, _ bool) bool { return in })
	_ = syscall.Close(far)
	n.until(t, func(_, _, gone bool) bool { return gone })
	p.Remove(near)
	_ = syscall.Close(near)
}

// A number that is used again has nothing to do with what it was before.
func TestReusedDescriptor(t *testing.T) {
	p := join(t)
	defer p.Leave()
	near, far := pair(t)
	old := make(notes, 16)
	if err := p.Add(near, old); err != nil {
		t.Fatal(err)
	}
	old.until(t, func(_, out, _ bool) bool { return out })
	p.Remove(near)
	_ = syscall.Close(near)
	_ = syscall.Close(far)
	again, other := pairWith(t, near)
	fresh := make(notes, 16)
	if err := p.Add(again, fresh); err != nil {
		t.Fatal(err)
	}
	defer p.Remove(again)
	if _, err := syscall.Write(other, []byte("x")); err != nil {
		t.Fatal(err)
	}
	fresh.until(t, func(in, _, _ bool) bool { return in })
	old.silent(t)
}

// pairWith is pair, with a given number that is free.
func pairWith(t *testing.T, number int) (near, far int) {
	t.Helper()
	for range 100 {
		near, far = pair(t)
		t.Cleanup(func() { _ = syscall.Close(near); _ = syscall.Close(far) })
		if near == number {
			return near, far
		}
	}
	t.Fatalf("the system does not give number %d again", number)
	return 0, 0
}

func TestErrorsAreTold(t *testing.T) {
	p := join(t)
	defer p.Leave()
	near, far := pair(t)
	_ = syscall.Close(far)
	_ = syscall.Close(near)
	if err := p.Add(near, make(notes, 1)); err == nil {
		t.Error("Add succeeds on a closed descriptor")
	}
	p.Remove(near)
	if err := p.Rearm(near); err == nil {
		t.Error("Rearm succeeds on a closed descriptor")
	}
	p.Remove(1 << 20) // was never added
}

// The poller exists while somebody uses it, and its goroutines end with it.
func TestPollerComesAndGoes(t *testing.T) {
	before := runtime.NumGoroutine()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 50 {
				p, err := Join()
				if err != nil {
					t.Error(err)
					return
				}
				p.Leave()
			}
		})
	}
	all.Wait()
	a, b := join(t), join(t)
	if a != b {
		t.Error("two users have two pollers")
	}
	a.Leave()
	near, far := pair(t)
	n := make(notes, 16)
	if err := b.Add(near, n); err != nil {
		t.Fatal(err)
	}
	n.until(t, func(_, out, _ bool) bool { return out })
	b.Remove(near)
	_, _ = syscall.Close(near), syscall.Close(far)
	b.Leave()
	if after := runtime.NumGoroutine(); after > before {
		t.Errorf("%d goroutines after the last Leave, %d before", after, before)
	}
}

// task is a Task made of a function.
type task func()

func (f task) Do() { f() }

func TestTasksDoNotWaitForEachOther(t *testing.T) {
	p := join(t)
	const count = 100 // more than are kept
	var started sync.WaitGroup
	started.Add(count)
	leave := make(chan struct{})
	var done sync.WaitGroup
	done.Add(count)
	for range count {
		p.Go(task(func() {
			defer done.Done()
			started.Done()
			<-leave
		}))
	}
	started.Wait()
	close(leave)
	done.Wait()
	p.Leave()
	ran := make(chan struct{}) // a task that comes late is done as well
	p.Go(task(func() { close(ran) }))
	<-ran
}

func TestGoexitInATask(t *testing.T) {
	p := join(t)
	defer p.Leave()
	var ran atomic.Int32
	var done sync.WaitGroup
	for range 2 * spare {
		done.Add(1)
		p.Go(task(func() {
			defer done.Done()
			ran.Add(1)
			runtime.Goexit()
		}))
	}
	done.Wait()
	if n := ran.Load(); n != 2*spare {
		t.Errorf("%d tasks ran, want %d", n, 2*spare)
	}
}
