package segment

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"slices"
	"sort"
)

// Query selects events of one room and epoch.
type Query struct {
	Room, Epoch string
	// After and Before exclude positions up to and from them. Before 0 has no bound.
	After, Before uint64
	// Max is how many events to return at most. Required.
	Max int
	// Newest takes the newest instead of the oldest.
	Newest bool
	// Keep says which events count. Nil means all. It must not keep the record, nor call the Sealed.
	Keep func(*Record) bool
}

func (q *Query) holds(seq uint64) bool {
	return seq > q.After && (q.Before == 0 || seq < q.Before)
}

// Page is what Read found.
type Page struct {
	// Records are events in rising order of position. They belong to the receiver.
	Records []Record
	// More says that further events of the query lie beyond the page.
	More bool
	// Damage is the damaged blocks that were passed over, with what they held of the query's room.
	Damage []Damage
}

// Read returns events. Damage is no error: it is passed over and named in the page. An error means that the file
// cannot be read now, or is closed.
func (s *Sealed) Read(q Query) (Page, error) {
	done, err := s.use()
	if err != nil {
		return Page{}, err
	}
	defer done()
	entries, err := s.room(q.Room)
	if err != nil {
		return Page{}, err
	}
	for _, e := range entries {
		if e.Epoch != q.Epoch {
			continue
		}
		r := reading{s: s, q: &q}
		err := r.run(e)
		if q.Newest {
			slices.Reverse(r.page.Records)
		}
		return r.page, err
	}
	return Page{}, nil
}

// reading is one call of Read.
type reading struct {
	s    *Sealed
	q    *Query
	page Page
}

func (r *reading) run(e *entry) error {
	parts := e.events
	from := sort.Search(len(parts), func(i int) bool { return parts[i].last > r.q.After })
	to := len(parts)
	if r.q.Before > 0 {
		to = sort.Search(len(parts), func(i int) bool { return parts[i].first >= r.q.Before })
	}
	for ; from < to && !r.page.More; from, to = r.next(from, to) {
		p := parts[from]
		if r.q.Newest {
			p = parts[to-1]
		}
		bodies, err := r.s.part(e.dir, p, blockFrame)
		if err == nil {
			err = r.take(bodies)
		}
		if damage, ok := r.s.damaged(p, e, err); ok {
			r.page.Damage = append(r.page.Damage, damage)
		} else if err != nil {
			return err
		}
	}
	return nil
}

func (r *reading) next(from, to int) (int, int) {
	if r.q.Newest {
		return from, to - 1
	}
	return from + 1, to
}

// take takes events of a block until the page is full and one more is found.
func (r *reading) take(bodies [][]byte) error {
	if r.q.Newest {
		slices.Reverse(bodies)
	}
	for _, body := range bodies {
		kind, seq := peek(body)
		if kind != Event || !r.q.holds(seq) {
			continue
		}
		full := len(r.page.Records) >= r.q.Max
		if full && r.q.Keep == nil {
			r.page.More = true
			return nil
		}
		rec, err := decodeRecord(body)
		switch {
		case err != nil:
			return err
		case r.q.Keep != nil && !r.q.Keep(&rec):
		case full:
			r.page.More = true
			return nil
		default:
			r.page.Records = append(r.page.Records, rec)
		}
	}
	return nil
}

// block returns the records of a block.
func (s *Sealed) block(d *directory, number uint32, kind byte) ([]byte, error) {
	at := d.blocks[number]
	key := cacheKey{s.id, at.offset}
	if had, ok := s.cache.get(key); ok {
		return had.([]byte), nil
	}
	payload, err := readFrame(s.file, s.head.salt, kind, at)
	if err != nil {
		return nil, err
	}
	raw, err := decodeBlock(payload)
	if err == nil {
		s.cache.put(key, raw, int64(cap(raw)))
	}
	return raw, err
}

// part returns the records of a part of a block.
func (s *Sealed) part(d *directory, p *part, kind byte) ([][]byte, error) {
	raw, err := s.block(d, p.block, kind)
	if err != nil {
		return nil, err
	}
	if p.start > p.end || int64(p.end) > int64(len(raw)) {
		return nil, fmt.Errorf("a block is shorter than the directory says: %w", ErrDamaged)
	}
	return cutRecords(raw[p.start:p.end])
}

func cutRecords(raw []byte) ([][]byte, error) {
	var bodies [][]byte
	for len(raw) > 0 {
		body, rest, err := cutRecord(raw)
		if err != nil {
			return nil, err
		}
		bodies, raw = append(bodies, body), rest
	}
	return bodies, nil
}

// damaged tells whether an error of reading a part is damage, and remembers it. That the file is closed is not.
func (s *Sealed) damaged(p *part, e *entry, err error) (Damage, bool) {
	if err == nil || errors.Is(err, fs.ErrClosed) {
		return Damage{}, false
	}
	at := e.dir.blocks[p.block]
	damage := Damage{
		File: s.path, Offset: at.offset, Length: int64(at.length), Lost: true, Reason: "a block does not match its checksum",
		Rooms: []Span{{e.Room, e.Epoch, p.first, p.last}},
	}
	if !errors.Is(err, ErrDamaged) {
		damage.Reason, damage.Err = "a block cannot be read", err
	}
	s.add(damage)
	return damage, true
}

// bodies yields the records of parts of an entry. Damage is passed over.
func (s *Sealed) bodies(e *entry, parts []*part) iter.Seq2[[]byte, error] {
	kind := blockFrame
	if len(e.others) > 0 && len(parts) > 0 && parts[0] == e.others[0] {
		kind = otherFrame
	}
	return func(yield func([]byte, error) bool) {
		for _, p := range parts {
			bodies, err := s.part(e.dir, p, kind)
			if _, ok := s.damaged(p, e, err); !ok && err != nil {
				yield(nil, err)
				return
			}
			for _, body := range bodies {
				if !yield(body, nil) {
					return
				}
			}
		}
	}
}

// FindID returns the event with an id, the newest of those for which keep (nil: always) is true. Blocks that cannot be read
// hold nothing. keep must not keep the record, nor call the Sealed.
func (s *Sealed) FindID(room, id string, keep func(*Record) bool) (Record, bool, error) {
	done, err := s.use()
	if err != nil {
		return Record{}, false, err
	}
	defer done()
	hash := hashID(s.head.salt, room, id)
	if s.excludes(hash) {
		return Record{}, false, nil
	}
	blocks, d, err := s.candidates(hash)
	if err != nil {
		return Record{}, false, err
	}
	for _, number := range slices.Backward(blocks) {
		raw, err := s.block(d, number, blockFrame)
		if errors.Is(err, fs.ErrClosed) {
			return Record{}, false, err
		}
		if rec, ok := lastWithID(raw, room, id, keep); ok {
			return rec, true, nil
		}
	}
	return Record{}, false, nil
}

// candidates returns the blocks that may hold an id.
func (s *Sealed) candidates(hash uint64) ([]uint32, *directory, error) {
	for {
		d := s.dir.Load()
		if len(d.buckets) == 0 {
			return nil, d, nil
		}
		at := d.buckets[bucketOf(hash, len(d.buckets))]
		bucket, err := s.bucket(d, at)
		switch {
		case err == nil:
			blocks := candidates(bucket, fingerprint(hash))
			return slices.DeleteFunc(blocks, func(b uint32) bool { return int64(b) >= int64(len(d.blocks)) }), d, nil
		case errors.Is(err, fs.ErrClosed) || d.anew:
			return nil, d, err
		}
		if err := s.renew(d); err != nil {
			return nil, d, err
		}
	}
}

func (s *Sealed) bucket(d *directory, at span) ([]byte, error) {
	key := cacheKey{d.source, at.offset}
	if had, ok := s.cache.get(key); ok {
		return had.([]byte), nil
	}
	bucket, err := readFrame(d.src, d.salt, idFrame, at)
	if err == nil {
		s.cache.put(key, bucket, int64(cap(bucket)))
	}
	return bucket, err
}

func lastWithID(raw []byte, room, id string, keep func(*Record) bool) (found Record, ok bool) {
	for len(raw) > 0 {
		body, rest, err := cutRecord(raw)
		if err != nil {
			return found, ok
		}
		raw = rest
		if !bytes.Contains(body, []byte(id)) {
			continue
		}
		rec, err := decodeRecord(body)
		if err == nil && rec.Type == Event && rec.Room == room && rec.Event.ID == id && (keep == nil || keep(&rec)) {
			found, ok = rec, true
		}
	}
	return found, ok
}

// Snapshot returns the snapshot of a room and epoch.
func (s *Sealed) Snapshot(room, epoch string) (Record, bool, error) {
	done, err := s.use()
	if err != nil {
		return Record{}, false, err
	}
	defer done()
	entries, err := s.room(room)
	if err != nil {
		return Record{}, false, err
	}
	for _, e := range entries {
		if e.Epoch != epoch || !e.HasSnapshot {
			continue
		}
		for body, err := range s.bodies(e, e.others) {
			if err != nil {
				return Record{}, false, err
			}
			if kind, _ := peek(body); kind != Snapshot {
				continue
			}
			rec, err := decodeRecord(body)
			return rec, err == nil, err
		}
	}
	return Record{}, false, nil
}
