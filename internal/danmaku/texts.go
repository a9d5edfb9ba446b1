package danmaku

import "time"

// text is a comment that was shown lately.
type text struct {
	key   uint64
	id    string
	n     int
	dirty bool // it is in grown
}

type aged struct {
	at   time.Duration
	text *text
}

// grow adds one to the count of a text that was shown.
func (s *Selection[V]) grow(t *text) {
	t.n++
	if !t.dirty {
		t.dirty = true
		s.grown = append(s.grown, t)
	}
}

// Grown reports whether Counts has something to say.
func (s *Selection[V]) Grown() bool { return len(s.grown) > 0 }

// Counts appends the comments whose counts grew since the last call, with the
// counts that they have now.
func (s *Selection[V]) Counts(dst []Count) []Count {
	for _, t := range s.grown {
		t.dirty = false
		dst = append(dst, Count{t.id, t.n})
	}
	clear(s.grown)
	s.grown = s.grown[:0]
	return dst
}

func (s *Selection[V]) forgetTexts(now time.Duration) {
	for s.textAge.len() > 0 && now-s.textAge.front().at >= MergeFor {
		t := s.textAge.front().text
		if s.texts[t.key] == t {
			delete(s.texts, t.key)
		}
		s.textAge.pop()
	}
}
