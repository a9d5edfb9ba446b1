package filelog

import (
	"fmt"
	"sync"

	"github.com/liveim/im/storage/filelog/internal/segment"
)

// Damage is a place in a file whose bytes are not those that were written, or cannot be read.
type Damage struct {
	File           string // its path
	Offset, Length int64
	Reason         string // what is wrong, as a part of a sentence
	// Rooms says what the place held, as far as that is known. For the segment that was written last these are
	// records that were read beside the damage, which are not lost.
	Rooms []Span
	// Lost says that events are gone. Without it what was damaged could be had from elsewhere in the file.
	Lost bool
	// Torn says that nothing proves that the place was ever synced: a write that a loss of power tore looks so, and none
	// of it was acknowledged then. It is known only until more was written.
	Torn bool
	// Past says that this was found earlier, when the file was made from another one: the bytes themselves are gone.
	Past bool
	// Err is the error of reading, if that is what is wrong: it may pass. Nil means that checksums do not match.
	Err error
}

// Span is the positions of one room from First to Last, both included.
type Span struct {
	Room, Epoch string
	First, Last uint64
}

func (d Damage) String() string {
	return fmt.Sprintf("%s: %d bytes at %d: %s", d.File, d.Length, d.Offset, d.Reason)
}

// Damage returns the damaged places that opening and reading have met. Verify finds all.
func (l *Log) Damage() []Damage { return reported(l.losses.list()) }

// reported turns what segments tell into what the public reads.
func reported(places []segment.Damage) []Damage {
	var all []Damage
	for _, d := range places {
		out := Damage{d.File, d.Offset, d.Length, d.Reason, nil, d.Lost, d.Torn, d.Past, d.Err}
		for _, s := range d.Rooms {
			out.Rooms = append(out.Rooms, Span(s))
		}
		all = append(all, out)
	}
	return all
}

// losses are the damaged places that a log has met.
type losses struct {
	mu     sync.Mutex // protects places
	places []segment.Damage
}

// add takes a place over, and reports false if it is known.
func (l *losses) add(d segment.Damage) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, o := range l.places {
		if o.File == d.File && o.Offset == d.Offset && o.Length == d.Length {
			return false
		}
	}
	l.places = append(l.places, d)
	return true
}

func (l *losses) list() []segment.Damage {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]segment.Damage(nil), l.places...)
}

// damaged takes note of damage, and of the positions that it took from rooms. It reports false if all of it is known. What
// was never synced is no damage: a loss of power took it.
func (l *Log) damaged(places []segment.Damage) (news bool) {
	for _, d := range places {
		if d.Torn || !l.losses.add(d) {
			continue
		}
		news = true
		l.opts.Logger.Error("damage in the log", "file", d.File, "offset", d.Offset, "bytes", d.Length, "reason", d.Reason, "lost", d.Lost)
		kind, _ := segment.ParseName(d.File)
		if !d.Lost || d.Past || kind != segment.SealedFile {
			continue // what an active file lost is found by the counts of what is left
		}
		for _, s := range d.Rooms {
			r := l.rooms.lockExisting(s.Room)
			if r.epoch == s.Epoch {
				r.trimmed.durables = max(r.trimmed.durables, s.Last)
			}
			r.mu.Unlock()
		}
	}
	return news
}
