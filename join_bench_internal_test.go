package im

import (
	"fmt"
	"net/http"
	"testing"
)

// BenchmarkOpen measures what the hub does for one connection, without the connection: it asks
// the Authenticator, makes a session of it, greets it, and forgets it.
func BenchmarkOpen(b *testing.B) {
	hub := newUnlimited(b)
	r := parseHandshake(b)
	b.ReportAllocs()
	for b.Loop() {
		u, err := hub.let(r)
		if err != nil {
			b.Fatal(err)
		}
		if err := hub.connect(); err != nil {
			b.Fatal(err)
		}
		c := new(taker)
		hub.open(c, r, u)
		c.session.Closed(nil)
	}
}

// BenchmarkEnter measures a join alone: of a session after the other that enters a room with state
// and 20 events to show, and leaves.
func BenchmarkEnter(b *testing.B) {
	for _, since := range []bool{false, true} {
		b.Run(fmt.Sprintf("since=%v", since), func(b *testing.B) {
			hub := newUnlimited(b)
			room := hub.Room("42")
			for i := range 10 {
				if _, err := room.Set(b.Context(), fmt.Sprint("key-", i), "a value of the state"); err != nil {
					b.Fatal(err)
				}
			}
			for i := range 30 {
				if _, err := room.Send(b.Context(), Danmaku, fmt.Sprint("something that somebody says to all of us, number ", i)); err != nil {
					b.Fatal(err)
				}
			}
			c := new(taker)
			s, err := hub.Attach(c, User{ID: "ann"})
			if err != nil {
				b.Fatal(err)
			}
			join := `{"op":"join","id":1,"room":"42"}`
			if since {
				at, _ := room.Position(b.Context())
				join = fmt.Sprintf(`{"op":"join","id":1,"room":"42","since":{"epoch":%q,"seq":%d}}`, at.Epoch, at.Seq-5)
			}
			b.ReportAllocs()
			for b.Loop() {
				_ = c.session.Receive([]byte(join))
				s.leave(s.member("42"), 0, nil)
			}
		})
	}
}

func BenchmarkKeep(b *testing.B) {
	r := parseHandshake(b)
	kept := keep(r)
	b.Run("keep", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = keep(r)
		}
		b.ReportMetric(float64(len(kept)), "kept-B")
	})
	b.Run("request", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = kept.request()
		}
	})
}

// BenchmarkGuard measures a hook that does nothing.
func BenchmarkGuard(b *testing.B) {
	hub := newUnlimited(b)
	r, _ := http.NewRequestWithContext(b.Context(), http.MethodGet, "/ws", nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := hub.authenticate(r); err != nil {
			b.Fatal(err)
		}
	}
}
