package im

// memRing is a queue in a ring buffer: in at the back, out at the front, any
// element by its index from the front. It doubles when full and halves when
// three quarters are empty, so that in and out take O(1) amortised and at most
// three quarters of the buffer are slack. The zero value is empty. Not safe for
// concurrent use.
type memRing[T any] struct {
	buf   []T // its length is zero or a power of two
	first int // index in buf of the front
	n     int
}

// memRingMin is the length of the smallest buffer.
const memRingMin = 8

// at returns the i-th element from the front; the pointer is good until the
// next push or pop.
func (q *memRing[T]) at(i int) *T { return &q.buf[(q.first+i)&(len(q.buf)-1)] }

func (q *memRing[T]) push(v T) {
	if q.n == len(q.buf) {
		q.resize(max(memRingMin, 2*q.n))
	}
	q.n++
	*q.at(q.n - 1) = v
}

func (q *memRing[T]) pop() T {
	var zero T
	p := q.at(0)
	v := *p
	*p = zero
	q.first = (q.first + 1) & (len(q.buf) - 1)
	q.n--
	switch {
	case q.n == 0 && len(q.buf) == memRingMin:
		q.buf, q.first = nil, 0
	case q.n <= len(q.buf)/4 && len(q.buf) > memRingMin:
		q.resize(len(q.buf) / 2)
	}
	return v
}

func (q *memRing[T]) resize(size int) {
	buf := make([]T, size)
	if q.n > 0 {
		k := copy(buf, q.buf[q.first:min(q.first+q.n, len(q.buf))])
		copy(buf[k:], q.buf[:q.n-k])
	}
	q.buf, q.first = buf, 0
}
