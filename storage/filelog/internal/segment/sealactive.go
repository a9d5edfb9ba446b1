package segment

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"

	"github.com/liveim/im/storage/filelog/internal/disk"
)

// gatherBytes is how much of an active file is held in memory while it is put in order.
const gatherBytes = 16 << 20

// item is a record of an active file that is to be sorted.
type item struct {
	seq   uint64
	ref   Ref
	group uint32 // of the room and epoch, in the order of the file
	event bool
}

// items are the records of an active file, in its order, and the names of their rooms and epochs.
type items struct {
	all   []item
	names [][2]string
	index map[[2]string]uint32
	last  uint32 // the group that was found last
}

// group returns the number of a room and epoch.
func (t *items) group(room, epoch []byte) uint32 {
	if len(t.names) > 0 && t.names[t.last][0] == string(room) && t.names[t.last][1] == string(epoch) {
		return t.last
	}
	group, ok := t.index[[2]string{string(room), string(epoch)}]
	if !ok {
		name := [2]string{string(room), string(epoch)}
		group = uint32(len(t.names))
		t.index[name], t.names = group, append(t.names, name)
	}
	t.last = group
	return group
}

func (s *sealer) fromActive(file disk.File, path string) ([]Damage, error) {
	t := &items{index: map[[2]string]uint32{}}
	scan := recovery{path: path, ctx: s.ctx, turn: runtime.Gosched, take: func(body []byte, ref Ref) (Type, error) {
		sk, err := skim(body)
		if err != nil {
			return 0, nil
		}
		if len(t.all) == cap(t.all) {
			t.all = slices.Grow(t.all, max(1024, len(t.all)/2))
		}
		t.all = append(t.all, item{sk.seq, ref, t.group(sk.room, sk.epoch), sk.kind == Event})
		return sk.kind, nil
	}}
	if err := scan.run(file); err != nil {
		return nil, err
	}
	if err := s.sorted(file, t); err != nil {
		return nil, err
	}
	if scan.Tail != nil {
		scan.Damage = append(scan.Damage, *scan.Tail)
	}
	return scan.Damage, nil
}

// sorted takes the records of an active file by room and epoch, of each the events last.
func (s *sealer) sorted(file disk.File, t *items) error {
	s.ids = make([]idEntry, 0, len(t.all))
	order := t.order()
	g := gatherer{file: file, all: t.all, places: make([]uint32, len(t.all)), left: order}
	for len(order) > 0 {
		group := t.all[order[0]].group
		n, events := 0, 0
		var bytes int64
		for ; n < len(order) && t.all[order[n]].group == group; n++ {
			if i := &t.all[order[n]]; i.event {
				bytes += int64(i.ref.Length)
			} else {
				events = n + 1
			}
		}
		if err := s.group(&g, t.names[group], order[:events], order[events:n], bytes); err != nil {
			return err
		}
		order = order[n:]
	}
	return nil
}

// order returns the places of the items in all, sorted by room and epoch; in each the other records in the order of
// the file, then the events in that of their positions.
func (t *items) order() []uint32 {
	groups := make([]uint32, len(t.names))
	for i := range groups {
		groups[i] = uint32(i)
	}
	slices.SortStableFunc(groups, func(a, b uint32) int { return cmp.Compare(t.names[a][0], t.names[b][0]) })
	// Each group has two bins, and ends is where the next item of a bin goes.
	ends := make([]uint32, 2*len(groups)+1)
	bins := make([]uint32, len(groups)) // of groups
	for i, group := range groups {
		bins[group] = uint32(2 * i)
	}
	bin := func(i *item) uint32 {
		if i.event {
			return bins[i.group] + 1
		}
		return bins[i.group]
	}
	for i := range t.all {
		ends[bin(&t.all[i])+1]++
	}
	for i := 1; i < len(ends); i++ {
		ends[i] += ends[i-1]
	}
	order := make([]uint32, len(t.all))
	for i := range t.all {
		b := bin(&t.all[i])
		order[ends[b]] = uint32(i)
		ends[b]++
	}
	bySeq := func(a, b uint32) int { return cmp.Compare(t.all[a].seq, t.all[b].seq) }
	for b := uint32(1); b < uint32(len(ends)); b += 2 {
		// By now ends[b] is the end of bin b, and that of the bin before is where it begins.
		if events := order[ends[b-1]:ends[b]]; !slices.IsSortedFunc(events, bySeq) {
			slices.SortStableFunc(events, bySeq)
		}
	}
	return order
}

// group takes the records of one room and epoch, whose events have so many bytes.
func (s *sealer) group(g *gatherer, name [2]string, others, events []uint32, bytes int64) error {
	if err := s.begin(name[0], name[1], bytes); err != nil {
		return err
	}
	var rest []raw
	for range others {
		body, err := g.next()
		if err != nil {
			return err
		}
		rec, err := decodeRecord(body)
		if err != nil {
			return err
		}
		rest = append(rest, raw{rec, slices.Clone(body)})
	}
	if err := s.rest(rest); err != nil {
		return err
	}
	for range events {
		body, err := g.next()
		if err == nil {
			err = s.event(body)
		}
		if err != nil {
			return err
		}
	}
	return s.end()
}

// gatherer reads the records of a file in another order than the file's. It goes over the file once for each gatherBytes of
// them: a read for each record would be most of what sealing costs.
type gatherer struct {
	file   disk.File
	all    []item
	places []uint32 // by item: 1 and where in buf it goes, 0 for those that are not there now
	left   []uint32 // the items that are to come, and those in buf

	ready int // how many of left are in buf
	buf   []byte
	at    int // of the next, in buf
	chunk []byte
	from  int64 // where in the file chunk is
}

// next returns the encoded form of the next record, good until the next call.
func (g *gatherer) next() ([]byte, error) {
	if g.ready == 0 {
		if err := g.gather(); err != nil {
			return nil, err
		}
	}
	length := int(g.all[g.left[0]].ref.Length)
	body, n, ok := cutChecked(g.buf[g.at : g.at+length])
	if !ok || n != length {
		return nil, fmt.Errorf("read %d bytes at %d: %w", length, g.all[g.left[0]].ref.Offset, ErrDamaged)
	}
	g.at += length
	g.ready--
	g.left = g.left[1:]
	return body, nil
}

func (g *gatherer) gather() error {
	size := 0
	low, high := g.left[0], g.left[0]
	for _, i := range g.left {
		length := int(g.all[i].ref.Length)
		if g.ready > 0 && size+length > gatherBytes {
			break
		}
		g.places[i] = uint32(size) + 1
		low, high = min(low, i), max(high, i)
		size += length
		g.ready++
	}
	if cap(g.buf) < size {
		g.buf = make([]byte, size)
	}
	g.buf, g.at = g.buf[:size], 0
	for i := low; i <= high; i++ {
		place := g.places[i]
		if place == 0 {
			continue
		}
		g.places[i] = 0
		if err := g.read(g.buf[place-1:], g.all[i].ref); err != nil {
			return err
		}
	}
	return nil
}

// read reads a record to the start of b. The places of those that are read one after the other rise.
func (g *gatherer) read(b []byte, ref Ref) error {
	b = b[:ref.Length]
	if len(b) > windowBytes {
		return readFull(g.file, b, ref.Offset)
	}
	if ref.Offset < g.from || ref.Offset+int64(len(b)) > g.from+int64(len(g.chunk)) {
		runtime.Gosched()
		last := g.all[len(g.all)-1].ref
		n := min(windowBytes, last.Offset+int64(last.Length)-ref.Offset)
		if g.chunk == nil {
			g.chunk = make([]byte, windowBytes)
		}
		g.chunk, g.from = g.chunk[:n], ref.Offset
		if err := readFull(g.file, g.chunk, ref.Offset); err != nil {
			g.chunk = g.chunk[:0]
			return readFull(g.file, b, ref.Offset) // another place of the chunk may be what cannot be read
		}
	}
	copy(b, g.chunk[ref.Offset-g.from:])
	return nil
}
