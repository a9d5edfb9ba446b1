package segment

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/storage/filelog/internal/disk"
	"github.com/liveim/im/storage/filelog/internal/disk/disktest"
)

const dir = "log"

// written makes records as an engine would, with positions and counts that rise per room.
type written struct {
	r      *rand.Rand
	rooms  int
	seq    map[string]uint64
	counts map[string][2]uint64
	n      int
}

func newWritten(rooms int) *written {
	return &written{r: rand.New(rand.NewPCG(1, 2)), rooms: rooms, seq: map[string]uint64{}, counts: map[string][2]uint64{}}
}

var start = time.Date(2026, 5, 4, 3, 2, 1, 987654321, time.UTC)

func roomName(i int) string {
	if i%7 == 3 {
		return fmt.Sprintf("\x00\xff/%d\n", i)
	}
	return fmt.Sprintf("room-%d", i)
}

// event makes an event of about 200 bytes.
func (w *written) event(room string) Record {
	w.n++
	class := im.Class(1 + w.r.IntN(4))
	w.seq[room] += uint64(1 + w.r.IntN(3))
	c := w.counts[room]
	if class == im.Volatile {
		c[0]++
	} else {
		c[1]++
	}
	w.counts[room] = c
	pos := im.Position{Epoch: "e1", Seq: w.seq[room]}
	user := w.r.IntN(5000)
	body := fmt.Sprintf(`{"text":"%x greets %x"}`, w.r.Uint64(), w.r.Uint32())
	return Record{
		Type: Event, Room: room, Epoch: pos.Epoch, Seq: pos.Seq, Volatiles: c[0], Durables: c[1],
		Event: &im.Event{
			Pos: pos, ID: fmt.Sprintf("%d-%016x\x00", w.n, w.r.Uint64()), Kind: im.Danmaku, Class: class,
			At: start.Add(time.Duration(w.n) * time.Millisecond), From: im.Author{ID: fmt.Sprint("user", user), Name: fmt.Sprint("Name of ", user)},
			Body: json.RawMessage(body), N: w.r.IntN(3), Digest: fmt.Sprintf("%032x", w.r.Uint64()),
		},
	}
}

func (w *written) some(n int) []Record {
	records := make([]Record, n)
	for i := range records {
		// A few rooms have most of the events.
		room := w.r.IntN(w.rooms)
		if w.r.IntN(2) == 0 {
			room = w.r.IntN(1 + w.rooms/10)
		}
		records[i] = w.event(roomName(room))
	}
	return records
}

func create(t testing.TB, fsys disk.FS, number uint64) *Active {
	t.Helper()
	a, err := Create(fsys, dir, number)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return a
}

// write writes and syncs one group.
func write(t testing.TB, a *Active, records ...Record) []Ref {
	t.Helper()
	refs, err := a.Write(records)
	if err == nil {
		err = a.Sync()
	}
	if err != nil {
		t.Fatal(err)
	}
	return refs
}

func seal(t testing.TB, fsys disk.FS, number uint64, drop func(*Record) bool) *Sealed {
	t.Helper()
	s, damage, err := Seal(context.Background(), fsys, dir, number, drop, NewCache(1<<20))
	if err != nil {
		t.Fatal(err)
	}
	if len(damage) > 0 {
		t.Fatalf("damage while sealing: %v", damage)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func active(number uint64) string { return filepath.Join(dir, ActiveName(number)) }

func sealed(number uint64) string { return filepath.Join(dir, SealedName(number)) }

// same compares what was read with what was written.
func same(t testing.TB, what string, got, want Record) bool {
	t.Helper()
	if reflect.DeepEqual(got, want) {
		return true
	}
	t.Errorf("%s: got\n%+v %+v, want\n%+v %+v", what, got, got.Event, want, want.Event)
	return false
}

// readAll reads all events of a room, in pages.
func readAll(t testing.TB, s *Sealed, room, epoch string) (all []Record, damage []Damage) {
	t.Helper()
	after := uint64(0)
	for {
		page, err := s.Read(Query{Room: room, Epoch: epoch, After: after, Max: 100})
		if err != nil {
			t.Fatal(err)
		}
		all, damage = append(all, page.Records...), append(damage, page.Damage...)
		if !page.More {
			return all, damage
		}
		after = all[len(all)-1].Seq
	}
}

func newFS() *disktest.FS { return disktest.New() }
