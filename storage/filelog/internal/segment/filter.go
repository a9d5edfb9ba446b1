package segment

import (
	"context"
	"errors"
	"math/bits"
)

// filter tells of most ids that are not in a sealed file, without reading it: 10 bits for each that is, in lines of the size of
// a cache line. It takes ids as the directory knows them, by bucket and fingerprint.
type filter struct {
	buckets int // of the directory that it was made from
	lines   [][8]uint64
}

// The bits of an id, and how many of the line each chooses among.
const (
	filterBits = 10
	lineBits   = 512
	probes     = 6
)

func newFilter(buckets, ids int) *filter {
	return &filter{buckets: buckets, lines: make([][8]uint64, ids*filterBits/lineBits+1)}
}

// line returns the line of an id, and where in it its bits are: the low 9 bits of the number, then the next 9, and so on.
func (f *filter) line(bucket int, print uint32) (*[8]uint64, uint64) {
	h := uint64(bucket)<<24 | uint64(print)
	for _, m := range [...]uint64{0xbf58476d1ce4e5b9, 0x94d049bb133111eb} {
		h = (h ^ h>>31) * m
	}
	h ^= h >> 31
	i, rest := bits.Mul64(h, uint64(len(f.lines)))
	return &f.lines[i], rest ^ h
}

func (f *filter) add(bucket int, print uint32) {
	line, h := f.line(bucket, print)
	for range probes {
		line[h>>6&7] |= 1 << (h & 63)
		h >>= 9
	}
}

func (f *filter) has(bucket int, print uint32) bool {
	line, h := f.line(bucket, print)
	for range probes {
		if line[h>>6&7]&(1<<(h&63)) == 0 {
			return false
		}
		h >>= 9
	}
	return true
}

// Recollect reads the ids of the file, so that FindID answers for most that it does not hold without reading. It takes 10 bits
// of memory per id. Without it FindID reads a few KiB for each question. It ends with ctx.
func (s *Sealed) Recollect(ctx context.Context) error {
	done, err := s.use()
	if err != nil {
		return err
	}
	defer done()
	d := s.dir.Load()
	f := newFilter(len(d.buckets), len(d.buckets)*idsPerBucket)
	for i, at := range d.buckets {
		if err := ctx.Err(); err != nil {
			return err
		}
		bucket, err := readFrame(d.src, d.salt, idFrame, at)
		if errors.Is(err, ErrDamaged) {
			return nil // FindID mends that
		}
		if err != nil {
			return err
		}
		for ; len(bucket) >= idBytes; bucket = bucket[idBytes:] {
			f.add(i, uint32(bucket[0])|uint32(bucket[1])<<8|uint32(bucket[2])<<16)
		}
	}
	s.filter.Store(f)
	return nil
}

// excludes reports that an id is surely not in the file.
func (s *Sealed) excludes(hash uint64) bool {
	f := s.filter.Load()
	return f != nil && f.buckets > 0 && f.buckets == len(s.dir.Load().buckets) && !f.has(bucketOf(hash, f.buckets), fingerprint(hash))
}
