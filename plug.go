package im

import (
	"context"
	"sync"
	"sync/atomic"
)

// plugs are what hooks into the hub: what [Options] names and what packages have added since.
type plugs struct {
	mu      sync.Mutex // guards the lists against others that add
	serving atomic.Bool

	middleware []Middleware
	admits     []AdmitFunc
	explains   []ExplainFunc
	observers  atomic.Pointer[[]func(Signal)] // it is replaced, never changed; nil: nobody observes
	intercept  SendFunc                       // through all the middleware
}

// AdmitFunc decides whether a session may enter a room, and read its history; see Options.Admit.
type AdmitFunc func(ctx context.Context, s *Session, room string) error

// Use adds interceptors within those that are there: each sees a draft after Options.Intercept and after
// those that were added before it. It is how a package that is made for a hub, such as one for
// moderation, takes part; a host names its own in [Options].
//
// Use, [Hub.OnAdmit], [Hub.OnSignal] and [Hub.OnExplain] are for the time before the hub serves, as [Hub.Handle] is, and
// panic afterwards, or if what is added is nil.
func (h *Hub) Use(m ...Middleware) {
	h.plug("Use", func(p *plugs) {
		for _, m := range m {
			mustBeThere(m == nil, "Use")
			p.middleware = append(p.middleware, m)
		}
		p.chain(h.innermost)
	})
}

// OnAdmit adds a hook that decides, after Options.Admit and those added before, whether a session may
// enter a room and read its history: all of them must let it in. See [Hub.Use].
func (h *Hub) OnAdmit(admit AdmitFunc) {
	mustBeThere(admit == nil, "OnAdmit")
	h.plug("OnAdmit", func(p *plugs) { p.admits = append(p.admits, admit) })
}

// OnSignal adds an observer, which is told after Options.Observe and those added before. It must not
// block. See [Hub.Use].
func (h *Hub) OnSignal(observe func(Signal)) {
	mustBeThere(observe == nil, "OnSignal")
	h.plug("OnSignal", func(p *plugs) { p.observe(observe) })
}

func mustBeThere(missing bool, where string) {
	if missing {
		panic("im: " + where + ": what is to be added is nil")
	}
}

func (h *Hub) plug(what string, add func(*plugs)) {
	h.plugs.mu.Lock()
	defer h.plugs.mu.Unlock()
	if h.plugs.serving.Load() {
		panic("im: " + what + ": the hub serves already; add everything before it does")
	}
	add(&h.plugs)
}

// take is what the options name, to which others are added.
func (p *plugs) take(o *Options, innermost SendFunc) {
	p.middleware = o.Intercept
	if o.Admit != nil {
		p.admits = []AdmitFunc{o.Admit}
	}
	if o.Observe != nil {
		p.observe(o.Observe)
	}
	p.chain(innermost)
}

// serve notes that the hub has begun to serve.
func (p *plugs) serve() {
	if !p.serving.Load() {
		p.serving.Store(true)
	}
}

func (p *plugs) observe(f func(Signal)) {
	var list []func(Signal)
	if old := p.observers.Load(); old != nil {
		list = append(list, *old...)
	}
	list = append(list, f)
	p.observers.Store(&list)
}

// chain wraps innermost, the last of the middleware first.
func (p *plugs) chain(innermost SendFunc) {
	p.intercept = innermost
	for i := len(p.middleware) - 1; i >= 0; i-- {
		p.intercept = p.middleware[i](p.intercept)
	}
}

// intercepts reports whether anybody sees what clients send.
func (p *plugs) intercepts() bool { return len(p.middleware) > 0 }
