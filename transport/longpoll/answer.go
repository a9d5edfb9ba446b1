package longpoll

import "bytes"

// answer is what the next response will hold, as pieces that are shared with
// other sessions and are never changed. It is not safe for concurrent use.
type answer struct {
	pieces [][]byte
	size   int // bytes of pieces
	whole  int // bytes up to the end of the last element that is complete
}

// add takes what fits into limit bytes, in whole elements, and at least one
// element if there is none yet. It returns how many bytes it took.
// total is the size of bufs.
func (a *answer) add(bufs [][]byte, total, limit int) int {
	n := total
	if a.size+total > limit {
		n = fit(bufs, limit-a.size, a.whole == 0)
	}
	left := n
	for _, b := range bufs {
		if left == 0 {
			break
		}
		b = b[:min(left, len(b))]
		left -= len(b)
		if len(b) == 0 {
			continue
		}
		if i := bytes.LastIndexByte(b, '\n'); i >= 0 { // at once for what ends with one
			a.whole = a.size + i + 1
		}
		a.pieces = append(a.pieces, b)
		a.size += len(b)
	}
	return n
}

// fit returns how many bytes of bufs are whole elements within room. If none is,
// and one is a must, it returns the size of the first, or of all there is of it.
func fit(bufs [][]byte, room int, must bool) int {
	pos, n := 0, 0
	for _, b := range bufs {
		for start := 0; ; {
			i := bytes.IndexByte(b[start:], '\n')
			if i < 0 {
				break
			}
			start += i + 1
			if pos+start > room && (n > 0 || !must) {
				return n
			}
			n = pos + start
			if n > room {
				return n
			}
		}
		pos += len(b)
	}
	if n == 0 && must {
		return pos
	}
	return n
}

// take returns the pieces of the whole elements and their size, and keeps the
// rest.
func (a *answer) take() (pieces [][]byte, size int) {
	pieces, size = a.pieces, a.whole
	rest := answer{size: a.size - a.whole}
	if rest.size > 0 { // an element was cut between two calls of TrySend
		pos := 0
		for _, b := range pieces {
			if pos+len(b) > size {
				rest.pieces = append(rest.pieces, b[max(0, size-pos):])
			}
			pos += len(b)
		}
	}
	*a = rest
	return pieces, size
}
