package fanout

import "time"

// Hold has a new outlet send nothing before Release: messages queue, and go out then. It is
// for a connection that has not been started, and must be called before anybody else knows
// the outlet.
func (o *Outlet) Hold() { o.turn.take() }

// Release ends Hold and sends what has gathered.
func (o *Outlet) Release() {
	o.mu.Lock()
	nothing := o.backlog == nil
	o.mu.Unlock()
	if nothing && o.turn.give() { // whoever comes now flushes
		return
	}
	s := scratches.Get().(*Scratch)
	o.run(s, time.Now())
	scratches.Put(s)
}

// QueueWire queues bytes as they go over the wire, without sending: they leave with whatever does next. The first
// may be something else than a message: what the transport has to say before any.
func (o *Outlet) QueueWire(wire []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.pushLocked(note{wire: wire})
}
