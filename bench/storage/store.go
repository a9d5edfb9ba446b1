//go:build linux

// Package storage measures the file log beside bbolt and pebble: how many events a second become durable, how long one
// waits for that, how long opening and reading take, and what a stalled disk does to a room. All stores write in one directory
// of one disk, in interleaved rounds, and each is asked afterwards for what it has acknowledged.
package storage

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/liveim/im"
)

// Store keeps events of rooms. It is safe for concurrent use.
type Store interface {
	// Append stores one event, and returns when it is on the disk.
	Append(ctx context.Context, room string, e *im.Event) error
	// Fill stores many events of a room, as fast as the store can. They are on the disk after Close.
	Fill(room string, events []*im.Event) error
	// Bounds are the places of the oldest and the newest event of a room; last is 0 if it has none.
	Bounds(room string) (first, last uint64, err error)
	// Page returns events of a room: the oldest n after a place, or the newest n before it.
	Page(room string, place uint64, n int, newest bool) ([]*im.Event, error)
	Close() error
}

// Peer is a store under test.
type Peer struct {
	Name   string // of the row in the tables
	Module string // whose version the report gives; empty for this repository's own
	Rooms  int    // that events are spread over
	Open   func(dir string) (Store, error)
	// Raw says that it is no store but a yardstick, which reads nothing.
	Raw bool
	// Blocks says that one goroutine writes to it, as many events at a time as there would be writers.
	Blocks bool
	// Variant says that its sibling stands for it where settings make no difference.
	Variant bool
}

// Peers returns all of them, this repository's first.
func Peers() []Peer {
	const pebbleModule, boltModule = "github.com/cockroachdb/pebble/v2", "go.etcd.io/bbolt"
	return []Peer{
		{Name: "filelog, 1 room", Rooms: 1, Open: openFileLog, Variant: true},
		{Name: "filelog, 100 rooms", Rooms: 100, Open: openFileLog},
		{Name: "pebble", Module: pebbleModule, Rooms: 100, Open: openPebble(false)},
		{Name: "pebble, tuned", Module: pebbleModule, Rooms: 100, Open: openPebble(true), Variant: true},
		{Name: "bbolt", Module: boltModule, Rooms: 100, Open: openBolt(false)},
		{Name: "bbolt, tuned", Module: boltModule, Rooms: 100, Open: openBolt(true), Variant: true},
		{Name: "bare group commit", Raw: true, Rooms: 1, Open: openGroup(false)},
		{Name: "bare group commit, file filled before", Raw: true, Rooms: 1, Open: openGroup(true)},
		{Name: "write, fdatasync", Raw: true, Blocks: true, Open: openRaw(false)},
		{Name: "write, fdatasync, file filled before", Raw: true, Blocks: true, Open: openRaw(true)},
	}
}

// count reads all events of rooms.
func count(s Store, rooms []string) (n int, err error) {
	for _, room := range rooms {
		all, err := places(s, room)
		if n += len(all); err != nil {
			return n, err
		}
	}
	return n, nil
}

// places reads all events of a room and returns where they are, rising.
func places(s Store, room string) (all []uint64, err error) {
	const page = 1000
	first, last, err := s.Bounds(room)
	if err != nil || last == 0 {
		return nil, err
	}
	for from := last + 1; from > first; { // the newest, and backwards from there
		found, err := s.Page(room, from, page, true)
		if err != nil {
			return nil, err
		}
		if len(found) == 0 {
			break
		}
		for i := len(found) - 1; i >= 0; i-- {
			if seq := found[i].Pos.Seq; seq >= from {
				return nil, fmt.Errorf("the place %d of room %s comes twice, or after %d", seq, room, from)
			}
			from = found[i].Pos.Seq
			all = append(all, from)
		}
	}
	slices.Reverse(all)
	return all, nil
}

// sizeOf is how many bytes the files of a directory have.
func sizeOf(dir string) (bytes int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			bytes += info.Size()
		}
		return nil // a file may go while we look
	})
	return bytes, err
}
