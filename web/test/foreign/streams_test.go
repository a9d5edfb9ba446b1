package foreign

import (
	"testing"

	"github.com/liveim/im"
)

// The clients come back by their own logic, with Last-Event-ID, to two rooms in
// which things have gone on, after each way in which a stream can end.
func TestEventSources(t *testing.T) {
	ends := []struct {
		name string
		at   *cut // nil is the hub's own end, with a bye
	}{
		{"FIN within an id", &cut{mark: "\nid: ", offset: 10}},
		{"FIN between an id and its data", &cut{mark: "\ndata: "}},
		{"RST within the data", &cut{mark: `"body":{"n":`, offset: 1, reset: true}},
		{"FIN before the empty line that ends an event", &cut{mark: "}]}\n"}},
		{"a bye", nil},
	}
	for _, script := range []string{"eventsource.mjs", "eventsource-client.mjs"} {
		t.Run(script, func(t *testing.T) {
			t.Parallel()
			v := open(t)
			s := speaker{v: v}
			s.speak(3)
			p := v.start(script)
			v.joined("42", "43")
			for _, end := range ends {
				s.speak(24)
				s.until(end.at)
				t.Log(end.name, "at event", s.n)
				s.speak(24) // while the client is away
				v.joined("42", "43")
			}
			s.speak(24)
			for _, room := range []string{"42", "43"} {
				if _, err := v.Room(room).Send(v.ctx, im.Notice, "end"); err != nil {
					t.Fatal(err)
				}
			}
			var got struct {
				Rooms map[string]*sighting
				Opens int
				Byes  []string
			}
			p.result(&got)
			if got.Opens != 1+len(ends) || len(got.Byes) != 1 || got.Byes[0] != "shutdown" {
				t.Errorf("%d streams were opened, and ended with the byes %q; want %d and one of a shutdown", got.Opens, got.Byes, 1+len(ends))
			}
			v.check("42", got.Rooms["42"], 1+len(ends))
			v.check("43", got.Rooms["43"], 1+len(ends))
		})
	}
}

// speaker says numbers in two rooms, each in a message of its own.
type speaker struct {
	v *venue
	n int // the last one
}

func (s *speaker) speak(times int) {
	for range times {
		s.n++
		s.v.speak("42", []im.Kind{im.Chat, im.Danmaku, im.Notice}[s.n%3], s.n)
		s.v.speak("43", im.Danmaku, s.n)
		s.v.pause()
	}
}

// until speaks until the stream has been cut; without a cut, the hub ends it.
func (s *speaker) until(at *cut) {
	if at == nil {
		for _, session := range s.v.User("fan").Sessions() {
			session.Close(&im.Error{Code: im.CodeShutdown})
		}
		return
	}
	for done := s.v.proxy.cutAt(*at); ; {
		s.speak(1)
		select {
		case <-done:
			return
		case <-s.v.ctx.Done():
			s.v.t.Fatalf("no cut behind %q", at.mark)
		default:
		}
	}
}
