package im

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/liveim/im/internal/wire"
)

// What a change costs in a room with as many keys as it may have: the fold, the state for the next who joins,
// and the snapshot. The baseline encodes all keys again.
func BenchmarkThousandKeys(b *testing.B) {
	f, seq := newFold(standardLimits()), uint64(0)
	event := func(i int) *Event {
		seq++
		return &Event{Pos: Position{"e", seq}, Kind: State, Class: Critical, ID: fmt.Sprint(seq % 100), Body: json.RawMessage(fmt.Sprintf(`{"key":"seat.%04d","value":{"user":"viewer-%d","name":"Viewer %d","mic":true},"owner":"viewer-%d"}`, i%1000, i, i, i%1000))}
	}
	for i := range 1000 {
		f.apply(event(i))
	}
	b.Run("change", func(b *testing.B) {
		b.ReportAllocs()
		for i := range b.N {
			f.apply(event(i))
		}
	})
	b.Run("change and state", func(b *testing.B) {
		b.ReportAllocs()
		for i := range b.N {
			f.apply(event(i))
			f.state()
		}
	})
	b.Run("change and state, all anew", func(b *testing.B) {
		b.ReportAllocs()
		for i := range b.N {
			f.apply(event(i))
			var all []byte
			for _, key := range slices.Sorted(maps.Keys(f.cells.m)) {
				c := f.cells.get(key)
				all = append(wire.AppendCell(all, key, wire.Cell{Value: c.Value, Version: c.Version, Owner: c.Owner}), ',')
			}
		}
	})
	b.Run("snapshot under the lock", func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			f.snapshot()
		}
	})
	s := f.snapshot()
	b.Run("snapshot encoded", func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			s.encode()
		}
	})
	b.Logf("%d bytes of state", len(f.state()))
}
