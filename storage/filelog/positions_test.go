package filelog

import (
	"testing"

	"pgregory.net/rapid"
)

// TestPositions gives places in random order of volatile events, flights, failures, syncs and crashes: none is given twice,
// those that are published rise, and what may have been given lies below what is skipped to.
func TestPositions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var p positions
		given := map[uint64]bool{}
		var shown uint64 // the highest that was published
		var flight []uint64
		onDisk := uint64(0) // the highest that is synced
		give := func(seq uint64) {
			if given[seq] {
				t.Fatalf("%d is given a second time", seq)
			}
			given[seq] = true
		}
		show := func(seq uint64) {
			if seq <= shown {
				t.Fatalf("%d is published after %d", seq, shown)
			}
			shown = seq
		}
		t.Repeat(map[string]func(*rapid.T){
			"volatile": func(*rapid.T) {
				if seq, ok := p.volatile(); ok {
					give(seq)
					show(seq)
				}
			},
			"flood": func(*rapid.T) {
				for range headroom {
					seq, ok := p.volatile()
					if !ok {
						return
					}
					give(seq)
					show(seq)
				}
			},
			"take off": func(*rapid.T) {
				flight = append(flight, p.durable())
				give(flight[len(flight)-1])
			},
			"land": func(*rapid.T) {
				if len(flight) == 0 {
					t.Skip("nothing flies")
				}
				for _, seq := range flight {
					show(seq)
				}
				p.landed()
				onDisk, flight = max(onDisk, flight[len(flight)-1]), nil
			},
			"withdraw": func(*rapid.T) {
				p.withdrawn()
				flight = nil
			},
			"sync": func(*rapid.T) {
				if len(flight) == 0 {
					p.synced(p.head)
					onDisk = max(onDisk, p.head)
				}
			},
			"crash": func(*rapid.T) {
				var after positions
				after.found(onDisk)
				mark := after.skip()
				for seq := range given {
					if seq > mark && seq <= shown {
						t.Fatalf("%d was published, and positions go on above %d", seq, mark)
					}
				}
				// What was in flight may be found too, but is not given again: begin with what was.
				for seq := range given {
					if seq > mark {
						delete(given, seq)
					}
				}
				p, shown, flight, onDisk = after, after.head, nil, after.head
			},
			"": func(t *rapid.T) {
				if p.head != shown {
					t.Fatalf("head is %d, but %d was published last", p.head, shown)
				}
			},
		})
	})
}
