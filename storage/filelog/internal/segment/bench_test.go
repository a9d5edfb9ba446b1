package segment

import (
	"fmt"
	"testing"

	"github.com/liveim/im/storage/filelog/internal/disk"
)

// filled is an active file of about so many bytes on a real disk.
func filled(b *testing.B, bytes int64, w *written) (string, *Active) {
	b.Helper()
	d := b.TempDir()
	a, err := Create(disk.OS{}, d, 1)
	if err != nil {
		b.Fatal(err)
	}
	for a.Size() < bytes {
		if _, err := a.Write(w.some(300)); err != nil {
			b.Fatal(err)
		}
	}
	if err := a.Sync(); err != nil {
		b.Fatal(err)
	}
	return d, a
}

func BenchmarkWrite(b *testing.B) {
	for _, group := range []int{1, 32, 256} {
		for _, sync := range []bool{false, true} {
			b.Run(fmt.Sprintf("group=%d/sync=%v", group, sync), func(b *testing.B) {
				a, err := Create(disk.OS{}, b.TempDir(), 1)
				if err != nil {
					b.Fatal(err)
				}
				defer a.Close()
				records := newWritten(100).some(group)
				b.ReportAllocs()
				for b.Loop() {
					if _, err = a.Write(records); err == nil && sync {
						err = a.Sync()
					}
					if err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.N*group)/b.Elapsed().Seconds(), "events/s")
			})
		}
	}
}

func BenchmarkSeal64MiB(b *testing.B) {
	d, a := filled(b, 64<<20, newWritten(1000))
	defer a.Close()
	b.ReportAllocs()
	for b.Loop() {
		s, _, err := Seal(b.Context(), disk.OS{}, d, 1, nil, nil)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(s.Size())/float64(a.Size()), "of-size")
		s.Close()
	}
}

func BenchmarkRecover64MiB(b *testing.B) {
	d, a := filled(b, 64<<20, newWritten(1000))
	a.Close()
	b.ReportAllocs()
	for b.Loop() {
		a, _, err := Recover(disk.OS{}, d+"/"+ActiveName(1), func(Record, Ref) error { return nil })
		if err != nil {
			b.Fatal(err)
		}
		a.Close()
	}
}

// BenchmarkSealed reads a file that has a room of a million events.
func BenchmarkSealed(b *testing.B) {
	const events = 1_000_000
	w := newWritten(1)
	d, a := filled(b, events*220, w)
	a.Close()
	cache := NewCache(8 << 20)
	s, _, err := Seal(b.Context(), disk.OS{}, d, 1, nil, cache)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	info, err := s.Room(roomName(0))
	if err != nil || len(info) != 1 {
		b.Fatal(err)
	}
	b.Logf("%d events, %d bytes", info[0].Events, s.Size())
	b.Run("open", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			s, _, err := Open(disk.OS{}, s.Name(), nil)
			if err != nil {
				b.Fatal(err)
			}
			s.Close()
		}
	})
	for _, newest := range []bool{false, true} {
		b.Run(fmt.Sprintf("page=100/newest=%v", newest), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				q := Query{Room: roomName(0), Epoch: "e1", Max: 100, Newest: newest}
				q.After = w.r.Uint64N(info[0].Last)
				q.Before = q.After + 1000
				if _, err := s.Read(q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	page, err := s.Read(Query{Room: roomName(0), Epoch: "e1", Max: 1000, After: info[0].Last / 2})
	if err != nil {
		b.Fatal(err)
	}
	for _, there := range []bool{true, false} {
		b.Run(fmt.Sprintf("find/there=%v", there), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				id := page.Records[w.r.IntN(1000)].Event.ID
				if !there {
					id = fmt.Sprint(w.r.Uint64())
				}
				if _, ok, err := s.FindID(roomName(0), id, nil); ok != there || err != nil {
					b.Fatal(ok, err)
				}
			}
		})
	}
}
