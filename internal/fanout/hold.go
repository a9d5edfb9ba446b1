package fanout

import "time"

// Hold has a new outlet send nothing before Release: messages queue, and go out then. It is
// for a connection that has not been started, and must be called before anybody else knows
// the outlet.
func (o *Outlet) Hold() { o.turn.take() }

// Release ends Hold and sends what has gathered.
func (o *Outlet) Release() {
	s := scratches.Get().(*Scratch)
	o.run(s, time.Now())
	scratches.Put(s)
}
