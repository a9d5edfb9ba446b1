//go:build linux

package storage

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// disk lets the fsyncs of this process wait: the kernel asks it about each of them, with every thread and every library
// included. That cannot be undone, so a process should be used for nothing else.
type disk struct {
	listener int

	mu   sync.Mutex    // protects free
	free chan struct{} // closed while fsyncs may go on
}

// What the kernel's seccomp.h has, as far as x/sys lacks it.
const (
	notifRecv   = 0xc0502100 // SECCOMP_IOCTL_NOTIF_RECV
	notifSend   = 0xc0182101 // SECCOMP_IOCTL_NOTIF_SEND
	goOn        = 1          // SECCOMP_USER_NOTIF_FLAG_CONTINUE
	setFilter   = 1          // SECCOMP_SET_MODE_FILTER
	allThreads  = 1 | 1<<4   // SECCOMP_FILTER_FLAG_TSYNC, TSYNC_ESRCH
	newListener = 1 << 3     // SECCOMP_FILTER_FLAG_NEW_LISTENER
	killable    = 1 << 5     // SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV: the runtime's signals do not repeat a call
	askUs       = 0x7fc00000 // SECCOMP_RET_USER_NOTIF
	allow       = 0x7fff0000 // SECCOMP_RET_ALLOW
)

// notification is struct seccomp_notif.
type notification struct {
	id         uint64
	pid, flags uint32
	number     int32
	arch       uint32
	pointer    uint64
	args       [6]uint64
}

// answer is struct seccomp_notif_resp.
type answer struct {
	id    uint64
	val   int64
	err   int32
	flags uint32
}

// watchDisk begins to watch the fsyncs of this process. It needs Linux 5.19.
func watchDisk() (*disk, error) {
	calls := []uint32{unix.SYS_FSYNC, unix.SYS_FDATASYNC, unix.SYS_SYNC_FILE_RANGE, unix.SYS_MSYNC, unix.SYS_SYNCFS}
	filter := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}} // the number of the call
	for i, n := range calls {
		filter = append(filter, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: uint8(len(calls) - i), K: n})
	}
	filter = append(filter, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: allow}, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: askUs})
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}

	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return nil, os.NewSyscallError("prctl", err)
	}
	fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, setFilter, allThreads|newListener|killable, uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		return nil, fmt.Errorf("watch the fsyncs of this process: %w", os.NewSyscallError("seccomp", errno))
	}
	d := &disk{listener: int(fd), free: make(chan struct{})}
	close(d.free)
	go d.serve()
	return d, nil
}

// serve answers the kernel until the process ends.
func (d *disk) serve() {
	for {
		var n notification
		if err := d.control(notifRecv, unsafe.Pointer(&n)); err != nil {
			if errors.Is(err, unix.EINTR) || errors.Is(err, unix.ENOENT) {
				continue
			}
			return
		}
		d.mu.Lock()
		free := d.free
		d.mu.Unlock()
		go func() {
			<-free
			a := answer{id: n.id, flags: goOn}
			for errors.Is(d.control(notifSend, unsafe.Pointer(&a)), unix.EINTR) {
			}
		}()
	}
}

func (d *disk) control(request uintptr, arg unsafe.Pointer) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(d.listener), request, uintptr(arg)); errno != 0 {
		return errno
	}
	return nil
}

// stall has fsyncs wait from now on; the function that it returns lets them go on.
func (d *disk) stall() (end func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	free := make(chan struct{})
	d.free = free
	return func() { close(free) }
}
