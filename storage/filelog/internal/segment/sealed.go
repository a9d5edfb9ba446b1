package segment

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/liveim/im/storage/filelog/internal/disk"
)

// Sealed is a sealed file, open for reading. Its methods are safe for concurrent use. It holds a few bytes per block and per 4 KiB
// of its directory in memory; rooms and ids are looked up on disk, through the cache.
type Sealed struct {
	fs    disk.FS
	path  string
	file  disk.File
	size  int64
	head  head
	cache *Cache
	id    uint64 // of blocks, in the cache

	filter  atomic.Pointer[filter] // nil without Recollect
	dir     atomic.Pointer[directory]
	renewMu sync.Mutex // held while the directory is made anew

	useMu  sync.RWMutex // held by those who read the file; protects closed
	closed bool

	damageMu sync.Mutex // protects damage
	damage   []Damage
}

// Open opens a sealed file. It reads the file's directory and no block; where the directory is damaged it reads all blocks
// to make it anew, and says so with a Damage that is not Lost. Damage includes what was known when the file was made, as Past.
func Open(fsys disk.FS, path string, cache *Cache) (*Sealed, []Damage, error) {
	file, err := fsys.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("open a sealed segment: %w", err)
	}
	s := &Sealed{fs: fsys, path: path, file: file, cache: cache, id: cache.source()}
	if err := s.load(); err != nil {
		return nil, nil, errors.Join(err, file.Close())
	}
	return s, s.Damage(), nil
}

func (s *Sealed) load() (err error) {
	if s.size, err = s.file.Size(); err != nil {
		return fmt.Errorf("open a sealed segment: %w", err)
	}
	w := newWindow(s.file, s.size)
	h, damage, ok, err := readHead(w, s.path, SealedFile)
	if err != nil {
		return err
	}
	tail, tailDamage, tailOK := readTrailer(w, s.path)
	damage = append(damage, tailDamage...)
	if !ok {
		_, number := ParseName(s.path)
		h = head{version: Version, kind: SealedFile, number: number, salt: tail.salt}
		if !tailOK {
			h.salt, _ = guessSalt(w)
		}
	}
	s.head = h
	s.add(damage...)
	if !tailOK || tail.index.offset > s.size || int64(tail.index.length) > s.size-tail.index.offset {
		return s.renew(nil)
	}
	payload, err := readFrame(s.file, h.salt, indexFrame, tail.index)
	if err == nil {
		var d *directory
		if d, err = decodeIndex(payload, s.size); err == nil {
			d.src, d.source, d.salt = s.file, s.cache.source(), h.salt
			s.dir.Store(d)
			s.add(d.past...)
			return nil
		}
	}
	return s.renew(nil)
}

func readTrailer(w *window, path string) (t trailer, damage []Damage, ok bool) {
	for i := range tailCopies {
		at := w.size - int64(tailCopies-i)*tailBytes
		copied, good := parseTrailer(w.upTo(at, tailBytes))
		switch {
		case !good && at >= framesBegin:
			damage = append(damage, Damage{File: path, Offset: at, Length: tailBytes, Reason: "one copy of the file's trailer is damaged", Err: w.failure(at, tailBytes)})
		case good && !ok:
			t, ok = copied, true
		}
	}
	if !ok {
		damage = nil // there is none: what lies here is told by reading the whole file
	}
	return t, damage, ok
}

// renew makes the directory anew from the blocks, unless that was done since the caller took old.
func (s *Sealed) renew(old *directory) error {
	s.renewMu.Lock()
	defer s.renewMu.Unlock()
	if s.dir.Load() != old {
		return nil
	}
	w := newWalk(s.file, s.size, s.path, s.head.salt)
	w.build = true
	if err := w.run(); err != nil {
		return err
	}
	d, err := w.directory(s.head.salt)
	if err != nil {
		return fmt.Errorf("make the directory of %s anew: %w", s.path, err)
	}
	d.source = s.cache.source()
	if old != nil {
		d.past = old.past
	}
	s.dir.Store(d)
	s.add(w.damage...)
	return nil
}

// add remembers damage, each place once. A later one may know more of the same place.
func (s *Sealed) add(damage ...Damage) {
	s.damageMu.Lock()
	defer s.damageMu.Unlock()
	for _, d := range damage {
		i := slices.IndexFunc(s.damage, func(had Damage) bool {
			return had.Offset == d.Offset && had.Past == d.Past && had.Length == d.Length
		})
		switch {
		case i < 0:
			s.damage = append(s.damage, d)
		case len(d.Rooms) > len(s.damage[i].Rooms) || d.Lost && !s.damage[i].Lost:
			s.damage[i] = d
		}
	}
}

// Damage is the damage that was found since the file was opened.
func (s *Sealed) Damage() []Damage {
	s.damageMu.Lock()
	defer s.damageMu.Unlock()
	return slices.Clone(s.damage)
}

// use keeps the file open until done is called.
func (s *Sealed) use() (done func(), err error) {
	s.useMu.RLock()
	if s.closed {
		s.useMu.RUnlock()
		return nil, fmt.Errorf("read %s: %w", s.path, fs.ErrClosed)
	}
	return s.useMu.RUnlock, nil
}

// Number is the number of the segment.
func (s *Sealed) Number() uint64 { return s.head.number }

// Name is the path of the file.
func (s *Sealed) Name() string { return s.path }

// Size is how long the file is in bytes.
func (s *Sealed) Size() int64 { return s.size }

// Close closes the file. It waits for calls that are reading; later ones fail with fs.ErrClosed. It may be called
// more than once, and not from within a Keep.
func (s *Sealed) Close() error {
	s.useMu.Lock()
	defer s.useMu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	s.cache.forget(s.id)
	s.cache.forget(s.dir.Load().source)
	return s.file.Close()
}

// Remove closes the file and removes it from the directory, lastingly.
func (s *Sealed) Remove() error { return remove(s.fs, s.path, s.Close()) }
