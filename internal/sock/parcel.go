package sock

import "sync"

// Parcels hold what a transient goroutine of the portable path writes.
const (
	smallParcel = 4 << 10
	largeParcel = 32 << 10
)

type parcel struct{ b []byte }

var (
	smallParcels = sync.Pool{New: func() any { return &parcel{make([]byte, 0, smallParcel)} }}
	largeParcels = sync.Pool{New: func() any { return &parcel{make([]byte, 0, largeParcel)} }}
)

// newParcel copies what it can of bufs, which have total bytes.
func newParcel(bufs [][]byte, total int) *parcel {
	pool := &smallParcels
	if total > smallParcel {
		pool = &largeParcels
	}
	p := pool.Get().(*parcel)
	for _, b := range bufs {
		room := cap(p.b) - len(p.b)
		p.b = append(p.b, b[:min(room, len(b))]...)
	}
	return p
}

func (p *parcel) free() {
	pool := &smallParcels
	if cap(p.b) > smallParcel {
		pool = &largeParcels
	}
	p.b = p.b[:0]
	pool.Put(p)
}
