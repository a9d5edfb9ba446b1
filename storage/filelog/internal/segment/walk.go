package segment

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/liveim/im/storage/filelog/internal/disk"
)

// walk reads a sealed file from its start to its end without its directory: to check it, or to make the directory anew.
type walk struct {
	ctx   context.Context
	path  string
	salt  uint64
	w     *window
	build bool // gather what a directory needs

	damage  []Damage
	holes   []hole // of damage, in the same order
	next    uint32 // the number of the next frame
	listing bool   // a frame of the directory was seen, so that no blocks follow

	blocks  []span
	entries map[[2]string]*entry
	order   []*entry
	ids     []idEntry
}

// hole is the numbers of the frames that a damaged place held, from first to before end.
type hole struct{ first, end uint32 }

func newWalk(r readerAt, size int64, path string, salt uint64) *walk {
	return &walk{ctx: context.Background(), path: path, salt: salt, w: newWindow(r, size), entries: map[[2]string]*entry{}}
}

func (k *walk) run() error {
	s := scanner{w: k.w, salt: k.salt, at: framesBegin}
	for {
		if err := k.ctx.Err(); err != nil {
			return err
		}
		before := s.at
		f, err := s.frame()
		if errors.Is(err, io.EOF) {
			k.end(min(before, k.w.size))
			return nil
		}
		if f.skipped > 0 {
			lost := !k.listing
			k.note(before, f.skipped, hole{k.next, f.number}, lost, "no frame begins here")
		}
		k.frame(&f)
		k.next = f.number + 1
	}
}

// end looks at what follows the last frame: the trailer, if all is well.
func (k *walk) end(at int64) {
	whole := at == k.w.size-tailCopies*tailBytes
	if whole {
		for i := range int64(tailCopies) {
			_, ok := parseTrailer(k.w.upTo(at+i*tailBytes, tailBytes))
			if !ok {
				k.note(at+i*tailBytes, tailBytes, hole{}, false, "one copy of the file's trailer is damaged")
			}
		}
	}
	if !whole || !k.listing {
		k.note(at, k.w.size-at, hole{k.next, ^uint32(0)}, !k.listing, "the file ends before its directory does")
	}
}

func (k *walk) note(offset, length int64, numbers hole, lost bool, reason string) {
	k.damage = append(k.damage, Damage{File: k.path, Offset: offset, Length: length, Reason: reason, Lost: lost, Err: k.w.failure(offset, length)})
	k.holes = append(k.holes, numbers)
}

func (k *walk) frame(f *found) {
	holds := f.kind == blockFrame || f.kind == otherFrame
	if !holds {
		k.listing = true
	}
	err := error(nil)
	switch {
	case !f.good:
		err = fmt.Errorf("frame %d does not match its checksum", f.number)
	case holds:
		err = k.block(f)
	case f.kind == pageFrame:
		err = k.page(f.payload)
	case f.kind == indexFrame:
		err = k.index(f.payload)
	}
	if err != nil {
		k.note(f.offset, f.end()-f.offset, hole{f.number, f.number + 1}, holds, err.Error())
	}
}

// page takes from a page of rooms what the holes before it held: blocks are numbered as their frames are.
func (k *walk) page(payload []byte) error {
	if len(k.holes) == 0 {
		return nil
	}
	entries, err := decodePage(payload, int(^uint32(0)>>1))
	if err != nil {
		return err
	}
	for i, h := range k.holes {
		if !k.damage[i].Lost {
			continue
		}
		held := spans{}
		for _, s := range k.damage[i].Rooms {
			held.extend(s)
		}
		for _, e := range entries {
			for _, p := range slices.Concat(e.events, e.others) {
				if h.first <= p.block && p.block < h.end {
					held.extend(Span{e.Room, e.Epoch, p.first, p.last})
				}
			}
		}
		k.damage[i].Rooms = held.list()
	}
	return nil
}

// index learns how many frames are blocks, and so which holes lie after them.
func (k *walk) index(payload []byte) error {
	d, err := decodeIndex(payload, k.w.size)
	if err != nil {
		return err
	}
	for i, h := range k.holes {
		k.damage[i].Lost = k.damage[i].Lost && int64(h.first) < int64(len(d.blocks))
	}
	return nil
}

func (k *walk) block(f *found) error {
	raw, err := decodeBlock(f.payload)
	if err != nil {
		return err
	}
	bodies, err := cutRecords(raw)
	if err != nil {
		return err
	}
	records := make([]Record, len(bodies))
	for i, body := range bodies {
		if records[i], err = decodeRecord(body); err != nil {
			return err
		}
	}
	if !k.build {
		return nil
	}
	number := uint32(len(k.blocks))
	k.blocks = append(k.blocks, span{f.offset, uint32(f.end() - f.offset)})
	at := uint32(0)
	for i := range records {
		start := at
		at += uint32(len(appendString(nil, bodies[i])))
		k.record(&records[i], len(bodies[i]), number, start, at, f.kind)
	}
	return nil
}

// record counts in a record, which lies in a block from start to end.
func (k *walk) record(r *Record, size int, block, start, end uint32, kind byte) {
	name := [2]string{r.Room, r.Epoch}
	e := k.entries[name]
	if e == nil {
		e = &entry{RoomInfo: RoomInfo{Room: r.Room, Epoch: r.Epoch}}
		k.entries[name] = e
		k.order = append(k.order, e)
	}
	e.note(r, size)
	parts := &e.events
	if kind == otherFrame {
		parts = &e.others
	}
	var p *part
	if n := len(*parts); n > 0 && (*parts)[n-1].block == block {
		p = (*parts)[n-1]
	} else {
		p = &part{block: block, start: start, first: r.Seq}
		*parts = append(*parts, p)
	}
	p.end, p.last = end, r.Seq
	if r.Type == Event {
		k.ids = append(k.ids, idEntry{hashID(k.salt, r.Room, r.Event.ID), p})
	}
}

// directory makes a directory of what was found. Its pages and buckets lie in memory.
func (k *walk) directory(salt uint64) (*directory, error) {
	slices.SortStableFunc(k.order, func(a, b *entry) int { return cmp.Compare(a.Room, b.Room) })
	pages := &memory{}
	d, _, err := writeDirectory(&frameWriter{w: pages, salt: salt, blocks: k.blocks}, k.order, k.ids, nil)
	if err != nil {
		return nil, err
	}
	d.src, d.anew = pages, true
	return d, nil
}

// memory is a file in memory, written from its start to its end.
type memory struct{ b []byte }

func (m *memory) WriteAt(p []byte, _ int64) (int, error) {
	m.b = append(m.b, p...)
	return len(p), nil
}

func (m *memory) ReadAt(p []byte, offset int64) (int, error) {
	n := copy(p, m.b[min(offset, int64(len(m.b))):])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Verify reads the whole file and returns each damaged place, and those that are Past. It ends with ctx, whose error it
// returns then.
func (s *Sealed) Verify(ctx context.Context) ([]Damage, error) {
	done, err := s.use()
	if err != nil {
		return nil, err
	}
	defer done()
	k := newWalk(s.file, s.size, s.path, s.head.salt)
	k.ctx = ctx
	_, damage, _, err := readHead(k.w, s.path, SealedFile)
	if err != nil {
		return nil, err
	}
	if err := k.run(); err != nil {
		return nil, err
	}
	return slices.Concat(damage, k.damage, s.dir.Load().past), nil
}

// VerifySealed opens a sealed file, reads all of it and returns each damaged place. It changes nothing.
func VerifySealed(ctx context.Context, fsys disk.FS, path string) ([]Damage, error) {
	s, _, err := Open(fsys, path, nil)
	if err != nil {
		return nil, err
	}
	damage, err := s.Verify(ctx)
	return damage, errors.Join(err, s.Close())
}
