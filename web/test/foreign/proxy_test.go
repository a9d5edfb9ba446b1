package foreign

import (
	"bytes"
	"net"
	"sync"
	"testing"
)

// proxy is a TCP proxy in front of a server, which cuts connections where a test wants it.
type proxy struct {
	listener net.Listener
	target   string
	work     sync.WaitGroup

	mu    sync.Mutex // guards the fields below
	conns map[*net.TCPConn]bool
	down  int  // bytes that went to clients
	blade *cut // or nil
	shut  bool
}

// cut is where the connections to clients end: behind the first bytes of what
// the server says that are equal to mark, and offset more.
type cut struct {
	mark   string
	offset int
	reset  bool          // with RST instead of FIN
	done   chan struct{} // closed when it has happened
}

func newProxy(t *testing.T, target string) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: listener, target: target, conns: map[*net.TCPConn]bool{}}
	p.work.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

func (p *proxy) addr() string { return p.listener.Addr().String() }

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.target)
		if err != nil {
			_ = client.Close()
			continue
		}
		c, s := client.(*net.TCPConn), server.(*net.TCPConn)
		if !p.keep(c, s) {
			return
		}
		p.work.Go(func() { p.up(c, s) })
		p.work.Go(func() { p.downstream(c, s) })
	}
}

func (p *proxy) keep(conns ...*net.TCPConn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		if p.shut {
			_ = c.Close()
			continue
		}
		p.conns[c] = true
	}
	return !p.shut
}

func (p *proxy) drop(conns ...*net.TCPConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		_ = c.Close()
		delete(p.conns, c)
	}
}

func (p *proxy) up(client, server *net.TCPConn) {
	defer p.drop(client, server)
	_, _ = server.ReadFrom(client)
}

func (p *proxy) downstream(client, server *net.TCPConn) {
	defer p.drop(client, server)
	buf := make([]byte, 16<<10)
	for {
		n, err := server.Read(buf)
		keep, blade := p.measure(buf[:n])
		if blade != nil && blade.reset {
			_ = client.SetLinger(0)
		}
		if _, err := client.Write(buf[:keep]); err != nil {
			return
		}
		if blade != nil {
			p.drop(client, server)
			close(blade.done)
			return
		}
		if err != nil {
			return
		}
	}
}

// measure counts what goes to a client, and returns how much of it shall, and the
// cut that follows.
func (p *proxy) measure(chunk []byte) (int, *cut) {
	p.mu.Lock()
	defer p.mu.Unlock()
	keep, blade := len(chunk), p.blade
	if blade != nil {
		if i := bytes.Index(chunk, []byte(blade.mark)); i >= 0 {
			keep, p.blade = min(i+len(blade.mark)+blade.offset, keep), nil
		} else {
			blade = nil
		}
	}
	p.down += keep
	return keep, blade
}

// cutAt arms the next cut.
func (p *proxy) cutAt(c cut) <-chan struct{} {
	c.done = make(chan struct{})
	p.mu.Lock()
	defer p.mu.Unlock()
	p.blade = &c
	return c.done
}

// cutNow resets all connections.
func (p *proxy) cutNow() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.SetLinger(0)
		_ = c.Close()
	}
}

// sent is how many bytes went to clients.
func (p *proxy) sent() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.down
}

func (p *proxy) close() {
	_ = p.listener.Close()
	p.mu.Lock()
	p.shut = true
	p.mu.Unlock()
	p.cutNow()
	p.work.Wait()
}
