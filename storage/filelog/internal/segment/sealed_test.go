package segment

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/liveim/im"
	"github.com/liveim/im/storage/filelog/internal/disk"
	"github.com/liveim/im/storage/filelog/internal/disk/disktest"
)

// byRoom sorts records into rooms, as a sealed file does.
func byRoom(records []Record) map[string][]Record {
	rooms := map[string][]Record{}
	for _, r := range records {
		rooms[r.Room] = append(rooms[r.Room], r)
	}
	return rooms
}

func TestSealedHoldsWhatWasWritten(t *testing.T) {
	for _, n := range []int{0, 1, 100, 10_000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			disk := newFS()
			a := create(t, disk, 3)
			records := newWritten(1 + n/20).some(n)
			for group := range slices.Chunk(records, 97) {
				write(t, a, group...)
			}
			s := seal(t, disk, 3, nil)
			if s.Number() != 3 || s.Name() != sealed(3) || s.Size() != int64(len(disk.Bytes(sealed(3)))) {
				t.Errorf("number %d, name %s, size %d", s.Number(), s.Name(), s.Size())
			}
			checkSealed(t, s, records)
			if damage, err := s.Verify(t.Context()); err != nil || len(damage) > 0 {
				t.Errorf("verify: %v, %v", damage, err)
			}
			if err := a.Remove(); err != nil {
				t.Fatal(err)
			}
			after := disk.Crash(nil)
			if names, _ := after.ReadDir(dir); len(names) != 1 {
				t.Errorf("after a loss of power: %q", names)
			}
			again, damage, err := Open(after, sealed(3), nil)
			if err != nil || len(damage) > 0 {
				t.Fatal(damage, err)
			}
			defer again.Close()
			checkSealed(t, again, records)
		})
	}
}

// checkSealed checks that a file holds exactly the given events, in every way that it can be asked.
func checkSealed(t *testing.T, s *Sealed, records []Record) {
	t.Helper()
	want := byRoom(records)
	last := ""
	for info, err := range s.Rooms() {
		if err != nil {
			t.Fatal(err)
		}
		events := want[info.Room]
		if info.Room <= last || len(events) == 0 {
			t.Errorf("room %q after %q holds %d events", info.Room, last, len(events))
			continue
		}
		last = info.Room
		delete(want, info.Room)
		checkInfo(t, info, events)
		got, damage := readAll(t, s, info.Room, info.Epoch)
		if len(got) != len(events) || len(damage) > 0 {
			t.Fatalf("room %q: read %d of %d, damage %v", info.Room, len(got), len(events), damage)
		}
		for i := range got {
			if !same(t, "read", got[i], events[i]) {
				return
			}
		}
		for _, i := range []int{0, len(events) / 2, len(events) - 1} {
			if got, ok, err := s.FindID(info.Room, events[i].Event.ID, nil); !ok || err != nil || !same(t, "find", got, events[i]) {
				t.Errorf("find: %v, %v", ok, err)
			}
			if _, ok, err := s.FindID(info.Room+"x", events[i].Event.ID, nil); ok || err != nil {
				t.Errorf("found in another room: %v, %v", ok, err)
			}
		}
	}
	if len(want) > 0 {
		t.Errorf("%d rooms are missing", len(want))
	}
}

func checkInfo(t *testing.T, info RoomInfo, events []Record) {
	t.Helper()
	last := events[len(events)-1]
	oldest, newest, durable, bytes := events[0].Event.At, events[0].Event.At, 0, info.Bytes
	for _, e := range events {
		if e.Event.Class != im.Volatile {
			durable++
		}
		if e.Event.At.Before(oldest) {
			oldest = e.Event.At
		}
		if e.Event.At.After(newest) {
			newest = e.Event.At
		}
	}
	first := slices.IndexFunc(events, func(r Record) bool { return r.Event.Class != im.Volatile })
	want := RoomInfo{
		Room: last.Room, Epoch: last.Epoch, First: events[0].Seq, Last: last.Seq, Events: len(events), DurableEvents: durable, Bytes: bytes,
		Oldest: oldest, Newest: newest, FirstVolatiles: events[0].Volatiles, FirstDurables: events[0].Durables,
		Volatiles: last.Volatiles, Durables: last.Durables, Head: last.Seq,
	}
	if first >= 0 {
		want.FirstDurable = events[first].Seq
		for _, e := range events {
			if e.Event.Class != im.Volatile {
				want.LastDurable = e.Seq
			}
		}
	}
	if fmt.Sprint(info) != fmt.Sprint(want) || bytes < int64(len(events)*50) {
		t.Errorf("info %+v, want %+v", info, want)
	}
}

func TestReadSelects(t *testing.T) {
	disk := newFS()
	a := create(t, disk, 1)
	w := newWritten(1)
	var records []Record
	for range 3000 {
		records = append(records, w.event("big"))
	}
	write(t, a, append(newWritten(50).some(200), records...)...)
	s := seal(t, disk, 1, nil)
	r := rand.New(rand.NewPCG(3, 4))
	for range 500 {
		q := Query{Room: "big", Epoch: "e1", After: r.Uint64N(7000), Before: r.Uint64N(7000), Max: 1 + r.IntN(300), Newest: r.IntN(2) == 0}
		if r.IntN(4) == 0 {
			q.Before = 0
		}
		if r.IntN(2) == 0 {
			q.Keep = func(r *Record) bool { return r.Seq%3 > 0 }
		}
		var want []Record
		for _, rec := range records {
			if q.holds(rec.Seq) && (q.Keep == nil || q.Keep(&rec)) {
				want = append(want, rec)
			}
		}
		more := len(want) > q.Max
		switch {
		case more && q.Newest:
			want = want[len(want)-q.Max:]
		case more:
			want = want[:q.Max]
		}
		page, err := s.Read(q)
		if err != nil || page.More != more || len(page.Records) != len(want) || len(page.Damage) > 0 {
			t.Fatalf("%+v: %d records, more %v, %v; want %d, %v", q, len(page.Records), page.More, err, len(want), more)
		}
		for i := range want {
			if page.Records[i].Seq != want[i].Seq {
				t.Fatalf("%+v: record %d is %d, want %d", q, i, page.Records[i].Seq, want[i].Seq)
			}
		}
	}
	for _, q := range []Query{{Room: "nobody", Epoch: "e1", Max: 1}, {Room: "big", Epoch: "e2", Max: 1}, {Room: "", Max: 1}, {Room: "\xff\xff", Max: 1}} {
		if page, err := s.Read(q); err != nil || len(page.Records) > 0 || page.More {
			t.Errorf("%+v: %v, %v", q, page, err)
		}
	}
}

func TestSealKeepsWhatCounts(t *testing.T) {
	disk := newFS()
	a := create(t, disk, 1)
	event := func(epoch string, seq uint64) Record {
		return Record{Type: Event, Room: "r", Epoch: epoch, Seq: seq, Event: &im.Event{Pos: im.Position{Epoch: epoch, Seq: seq}, ID: fmt.Sprint("id", seq), At: start}}
	}
	write(t, a,
		Record{Type: Meta, Room: "r", Epoch: "old", Seq: 5, Trimmed: 3, Volatiles: 9, Durables: 8},
		event("old", 6), event("new", 2), event("new", 1), // as a volatile event passes one that waits
		Record{Type: Snapshot, Room: "r", Epoch: "new", Seq: 2, Data: []byte("two")},
		Record{Type: Snapshot, Room: "r", Epoch: "new", Seq: 1, Data: []byte("one")},
		Record{Type: Reserve, Room: "r", Epoch: "new", Seq: 100}, Record{Type: Reserve, Room: "r", Epoch: "new", Seq: 50},
		Record{Type: Abort, Room: "r", Epoch: "old", Seq: 7}, Record{Type: Abort, Room: "r", Epoch: "old", Seq: 4},
		event("new", 6), // the same id as in the old epoch
		Record{Type: Meta, Room: "quiet", Epoch: "q", Seq: 77, Trimmed: 70},
		Record{Type: Closed},
	)
	var asked []string
	s := seal(t, disk, 1, func(r *Record) bool {
		asked = append(asked, fmt.Sprint(r.Type, " ", r.Room, " ", r.Epoch, " ", r.Seq))
		return r.Type == Abort && r.Seq == 4
	})
	if want := []string{
		"5 quiet q 77", "5 r old 5", "3 r old 7", "3 r old 4", "1 r old 6",
		"2 r new 2", "2 r new 1", "4 r new 100", "4 r new 50", "1 r new 1", "1 r new 2", "1 r new 6",
	}; !slices.Equal(asked, want) {
		t.Errorf("asked %q, want %q", asked, want)
	}
	infos, err := s.Room("r")
	if err != nil || len(infos) != 2 {
		t.Fatal(infos, err)
	}
	old, fresh := infos[0], infos[1]
	if old.Epoch != "old" || !old.HasMeta || old.Trimmed != 3 || old.Volatiles != 9 || old.Head != 6 || !slices.Equal(old.Aborts, []uint64{7}) || old.Events != 1 {
		t.Errorf("old: %+v", old)
	}
	if fresh.Epoch != "new" || fresh.First != 1 || fresh.Last != 6 || fresh.Reserve != 100 || !fresh.HasSnapshot || fresh.Snapshot != 2 || fresh.HasMeta {
		t.Errorf("new: %+v", fresh)
	}
	if rec, ok, err := s.Snapshot("r", "new"); !ok || err != nil || string(rec.Data) != "two" {
		t.Errorf("snapshot: %v, %v, %v", rec, ok, err)
	}
	if _, ok, err := s.Snapshot("r", "old"); ok || err != nil {
		t.Errorf("snapshot of the old epoch: %v, %v", ok, err)
	}
	if rec, ok, err := s.FindID("r", "id6", nil); !ok || err != nil || rec.Epoch != "new" {
		t.Errorf("find: %v, %v, %v", rec, ok, err)
	}
	if rec, ok, err := s.FindID("r", "id6", func(r *Record) bool { return r.Epoch == "old" }); !ok || err != nil || rec.Epoch != "old" {
		t.Errorf("find what is kept: %v, %v, %v", rec, ok, err)
	}
	if infos, err := s.Room("quiet"); err != nil || len(infos) != 1 || infos[0].Head != 77 || infos[0].Trimmed != 70 || infos[0].Events != 0 {
		t.Errorf("quiet: %+v, %v", infos, err)
	}
}

func TestSealAgainDrops(t *testing.T) {
	disk := newFS()
	a := create(t, disk, 1)
	w := newWritten(200)
	records := w.some(4000)
	write(t, a, append(slices.Clip(records), Record{Type: Snapshot, Room: "a room of its own", Epoch: "e1", Seq: 1, Data: []byte("s")})...)
	first := seal(t, disk, 1, nil)
	if err := a.Remove(); err != nil {
		t.Fatal(err)
	}
	second := seal(t, disk, 1, func(r *Record) bool { return r.Type == Event && r.Seq%4 > 0 })
	if got, damage := readAll(t, first, roomName(3), "e1"); len(got) != len(byRoom(records)[roomName(3)]) || len(damage) > 0 {
		t.Errorf("the file of before: %d events, %v", len(got), damage)
	}
	left := kept(records, func(r Record) bool { return r.Seq%4 == 0 })
	for room, events := range byRoom(left) {
		got, damage := readAll(t, second, room, "e1")
		if len(got) != len(events) || len(damage) > 0 {
			t.Fatalf("room %q: %d events, want %d; %v", room, len(got), len(events), damage)
		}
	}
	if rec, ok, err := second.Snapshot("a room of its own", "e1"); !ok || err != nil || string(rec.Data) != "s" {
		t.Errorf("snapshot: %v %v", ok, err)
	}
	if second.Size() > first.Size()/2 {
		t.Errorf("%d bytes, was %d", second.Size(), first.Size())
	}
	if _, _, err := Seal(t.Context(), disk, dir, 9, nil, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("seal of nothing: %v", err)
	}
}

func kept(records []Record, keep func(Record) bool) []Record {
	return slices.DeleteFunc(slices.Clone(records), func(r Record) bool { return !keep(r) })
}

func TestSealThatFailsChangesNothing(t *testing.T) {
	base := newFS()
	a := create(t, base, 1)
	records := newWritten(20).some(500)
	write(t, a, records...)
	data := base.Bytes(active(1))
	for _, op := range []disktest.Op{disktest.Create, disktest.Write, disktest.Sync, disktest.Rename, disktest.Read} {
		for skip := range 4 {
			disk := newFS()
			disk.SetBytes(active(1), data)
			disk.Fail(disktest.Rule{Op: op, Err: syscall.ENOSPC, Skip: skip})
			s, _, err := Seal(t.Context(), disk, dir, 1, nil, nil)
			if err == nil {
				s.Close()
				continue
			}
			if names, _ := disk.ReadDir(dir); len(names) != 1 && op != disktest.Read {
				t.Errorf("%d after %d: %v leaves %q", op, skip, err, names)
			}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := Seal(ctx, base, dir, 1, nil, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	// A loss of power at any point of a Seal leaves the one or the other.
	r := rand.New(rand.NewPCG(5, 6))
	for range 30 {
		disk := newFS()
		disk.SetBytes(active(1), data)
		remove := disk.Fail(disktest.Rule{Op: disktest.SyncDir, Err: syscall.EIO})
		if _, _, err := Seal(t.Context(), disk, dir, 1, nil, nil); err == nil {
			t.Fatal("no error")
		}
		remove()
		after := disk.Crash(r)
		s, damage, err := Seal(t.Context(), after, dir, 1, nil, nil)
		if err != nil || len(damage) > 0 {
			t.Fatal(damage, err)
		}
		checkSealed(t, s, records)
		s.Close()
	}
}

func TestReadsBesideClose(t *testing.T) {
	fsys := newFS()
	a := create(t, fsys, 1)
	write(t, a, newWritten(5).some(1000)...)
	s := seal(t, fsys, 1, nil)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for n := 0; ; n++ {
				_, err := s.Read(Query{Room: roomName(i), Epoch: "e1", Max: 10})
				if err == nil {
					_, _, err = s.FindID(roomName(i), "x", nil)
				}
				if err == nil {
					for _, err = range s.Rooms() {
					}
				}
				if err != nil {
					if !errors.Is(err, fs.ErrClosed) {
						t.Error(err)
					}
					return
				}
				if n == 200 {
					s.Close()
				}
			}
		})
	}
	wg.Wait()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if s.cache.bytes != 0 || s.cache.order.Len() != 0 {
		t.Errorf("the cache holds %d bytes of a closed file", s.cache.bytes)
	}
}

func TestBlocksOnARealDisk(t *testing.T) {
	var fsys disk.OS
	d := t.TempDir()
	a, err := Create(fsys, d, 1)
	if err != nil {
		t.Fatal(err)
	}
	records := newWritten(30).some(2000)
	write(t, a, records...)
	s, damage, err := Seal(t.Context(), fsys, d, 1, nil, NewCache(1<<20))
	if err != nil || len(damage) > 0 {
		t.Fatal(damage, err)
	}
	checkSealed(t, s, records)
	if err := a.Remove(); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove(); err != nil {
		t.Fatal(err)
	}
	if names, err := fsys.ReadDir(d); err != nil || len(names) > 0 {
		t.Errorf("left: %q, %v", strings.Join(names, " "), err)
	}
}
