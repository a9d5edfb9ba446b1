package segment

import (
	"errors"
	"io/fs"
	"iter"
	"sort"
)

// Rooms yields what the file holds, in the order of room names by bytes, the epochs of a room in the order of the file. An
// error is the last thing that it yields. The Sealed may be used and closed meanwhile.
func (s *Sealed) Rooms() iter.Seq2[RoomInfo, error] {
	return func(yield func(RoomInfo, error) bool) {
		for e, err := range s.all() {
			if err != nil {
				yield(RoomInfo{}, err)
				return
			}
			if !yield(e.RoomInfo, nil) {
				return
			}
		}
	}
}

// Room returns what the file knows of the epochs of one room; none means that it holds nothing of it.
func (s *Sealed) Room(room string) ([]RoomInfo, error) {
	done, err := s.use()
	if err != nil {
		return nil, err
	}
	defer done()
	entries, err := s.room(room)
	var infos []RoomInfo
	for _, e := range entries {
		infos = append(infos, e.RoomInfo)
	}
	return infos, err
}

// room returns the entries of a room.
func (s *Sealed) room(room string) ([]*entry, error) {
	for {
		d := s.dir.Load()
		entries, err := s.find(d, room)
		switch {
		case err == nil:
			return entries, nil
		case errors.Is(err, fs.ErrClosed) || d.anew:
			return nil, err
		}
		if err := s.renew(d); err != nil {
			return nil, err
		}
	}
}

// find reads the page that the room would begin in, and those after it that go on with the room.
func (s *Sealed) find(d *directory, room string) ([]*entry, error) {
	var found []*entry
	i := sort.Search(len(d.pages), func(i int) bool { return d.pages[i].first >= room })
	for i = max(0, i-1); i < len(d.pages) && d.pages[i].first <= room; i++ {
		entries, err := s.page(d, i, true)
		if err != nil {
			return nil, err
		}
		from := sort.Search(len(entries), func(i int) bool { return entries[i].Room >= room })
		for ; from < len(entries) && entries[from].Room == room; from++ {
			found = append(found, entries[from])
		}
	}
	return found, nil
}

// page reads a page of rooms. keep puts it into the cache.
func (s *Sealed) page(d *directory, i int, keep bool) ([]*entry, error) {
	const decoded = 8 // how much more memory entries take than their bytes on disk, at most
	at := d.pages[i].span
	key := cacheKey{d.source, at.offset}
	if had, ok := s.cache.get(key); ok {
		return had.([]*entry), nil
	}
	payload, err := readFrame(d.src, d.salt, pageFrame, at)
	if err != nil {
		return nil, err
	}
	entries, err := decodePage(payload, len(d.blocks))
	for _, e := range entries {
		e.dir = d
	}
	if err == nil && keep {
		s.cache.put(key, entries, decoded*int64(len(payload)))
	}
	return entries, err
}

// all yields all entries. Where a page turns out to be damaged, it goes on in the directory that was made anew.
func (s *Sealed) all() iter.Seq2[*entry, error] {
	return func(yield func(*entry, error) bool) {
		d := s.dir.Load()
		room, epochs := "", map[string]bool{} // yielded last
		for i := 0; i < len(d.pages); i++ {
			entries, err := s.pageInUse(d, i)
			if err != nil && !d.anew && !errors.Is(err, fs.ErrClosed) {
				if err = s.renewInUse(d); err == nil {
					d, i = s.dir.Load(), -1
					continue
				}
			}
			if err != nil {
				yield(nil, err)
				return
			}
			for _, e := range entries {
				if e.Room < room || e.Room == room && epochs[e.Epoch] {
					continue
				}
				if e.Room > room {
					room = e.Room
					clear(epochs)
				}
				epochs[e.Epoch] = true
				if !yield(e, nil) {
					return
				}
			}
		}
	}
}

func (s *Sealed) pageInUse(d *directory, i int) ([]*entry, error) {
	release, err := s.use()
	if err != nil {
		return nil, err
	}
	defer release()
	return s.page(d, i, false)
}

func (s *Sealed) renewInUse(d *directory) error {
	release, err := s.use()
	if err != nil {
		return err
	}
	defer release()
	return s.renew(d)
}
