package presence

import (
	"time"

	"github.com/liveim/im"
)

// Forget takes a member out as if a signal had been lost.
func Forget(p *Presence, room, user string) {
	p.look(room, func(r *roster) { r.remove(r.byID[user], time.Now()) })
}

// Invent puts a member in as if a signal had been lost.
func Invent(p *Presence, room string, u im.User) {
	p.look(room, func(r *roster) { r.see(&u, 0, time.Now()) })
}
