//go:build linux

package storage

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/bench/load"
)

// fillBatch is how many events one call of Fill stores.
const fillBatch = 500

// fill has a store keep about n events, spread over rooms. enough, if it is not nil, is asked now and then whether that will do.
func fill(s Store, rooms []string, n int, enough func() bool) (stored int, err error) {
	m := newMaker(1 << 20)
	for i := 0; stored < n; i++ {
		if enough != nil && i%20 == 0 && enough() {
			break
		}
		if err := s.Fill(rooms[i%len(rooms)], m.events(min(fillBatch, n-stored))); err != nil {
			return stored, err
		}
		stored += min(fillBatch, n-stored)
	}
	return stored, nil
}

// historyRoom is a room with much history.
type historyRoom struct {
	store  Store
	name   string
	places []uint64 // of its events
	dir    string
}

// openHistory fills a room, closes the store, so that what is read has gone through all that it does to old events, and
// opens it again.
func openHistory(p Peer, dir string, events int) (*historyRoom, error) {
	h := &historyRoom{name: roomNames(1)[0], dir: dir}
	s, err := p.Open(dir)
	if err != nil {
		return nil, err
	}
	_, err = fill(s, []string{h.name}, events, nil)
	settle(dir)
	if err := errors.Join(err, s.Close()); err != nil {
		return nil, err
	}
	if h.store, err = p.Open(dir); err != nil {
		return nil, err
	}
	h.places, err = places(h.store, h.name)
	if err == nil && len(h.places) != events {
		err = fmt.Errorf("%d events were stored, and %d are there", events, len(h.places))
	}
	if err != nil {
		return nil, errors.Join(err, h.store.Close())
	}
	return h, nil
}

// openHistoryBelow is openHistory in a directory of its own below dir.
func openHistoryBelow(p Peer, dir string, n, events int) (*historyRoom, error) {
	own := filepath.Join(dir, strconv.Itoa(n))
	if err := os.Mkdir(own, 0o700); err != nil {
		return nil, err
	}
	return openHistory(p, own, events)
}

// settle waits until the store has done by itself what it does in the background: until its directory stays as it is.
func settle(dir string) {
	const step, patience = 500 * time.Millisecond, 120
	tick := time.NewTicker(step)
	defer tick.Stop()
	same, last := 0, int64(-1)
	for i := 0; i < patience && same < 2; i++ {
		<-tick.C
		size, _ := sizeOf(dir)
		if same++; size != last {
			same = 0
		}
		last = size
	}
}

const pageSize = 100

// measure reads pages at random places, half of them upwards from a place and half of them downwards.
func (h *historyRoom) measure(pages int, seed uint64) (*load.Histogram, error) {
	random := rand.New(rand.NewPCG(seed, 1))
	var waited load.Histogram
	for i := range pages {
		newest := i%2 == 1
		at := random.IntN(len(h.places) - 2*pageSize)
		if newest {
			at += pageSize
		}
		place := h.places[at]
		began := time.Now()
		page, err := h.store.Page(h.name, place, pageSize, newest)
		waited.Record(time.Since(began))
		if err != nil {
			return nil, err
		}
		if err := whole(page, place, newest); err != nil {
			return nil, err
		}
	}
	return &waited, nil
}

// whole says what is wrong with a page.
func whole(page []*im.Event, place uint64, newest bool) error {
	if len(page) != pageSize {
		return fmt.Errorf("a page at %d has %d events", place, len(page))
	}
	for i, e := range page {
		if i > 0 && e.Pos.Seq <= page[i-1].Pos.Seq || newest != (e.Pos.Seq < place) || len(e.Body) != bodySize {
			return fmt.Errorf("a page at %d has a wrong event at %d: %+v", place, i, e)
		}
	}
	return nil
}
