package danmaku

import "time"

// share is which part of the budget a shown comment was charged to.
type share uint8

const (
	own      share = iota // of the ordinary part
	reserved              // shown by its weight
	borrowed              // ordinary, but charged to the reserve, which nobody needed
	shares
)

// window is what was shown within the last second: an exact count, which a token
// bucket is not.
type window struct {
	shown queue[showing]
	count [shares]int
	total int
}

type showing struct {
	at    time.Duration
	share share
}

// expire forgets what is a second old.
func (w *window) expire(now time.Duration) {
	for w.shown.len() > 0 && now-w.shown.front().at >= time.Second {
		w.count[w.shown.front().share]--
		w.total--
		w.shown.pop()
	}
}

func (w *window) add(now time.Duration, s share) {
	w.shown.push(showing{now, s})
	w.count[s]++
	w.total++
}

// queue is a first-in, first-out list in a ring that grows.
type queue[E any] struct {
	ring []E // of a power of two
	head int
	n    int
}

func (q *queue[E]) len() int { return q.n }

// front returns the oldest entry; there must be one.
func (q *queue[E]) front() *E { return &q.ring[q.head] }

func (q *queue[E]) push(e E) {
	if q.n == len(q.ring) {
		bigger := make([]E, max(8, 2*len(q.ring)))
		for i := range q.n {
			bigger[i] = q.ring[(q.head+i)&(len(q.ring)-1)]
		}
		q.ring, q.head = bigger, 0
	}
	q.ring[(q.head+q.n)&(len(q.ring)-1)] = e
	q.n++
}

func (q *queue[E]) pop() {
	var none E
	q.ring[q.head] = none
	q.head = (q.head + 1) & (len(q.ring) - 1)
	q.n--
}
