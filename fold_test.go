package im

import (
	"encoding/json"
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// The fold of a log is the same however it is cut by snapshots: what a node
// that starts from a snapshot has equals what one that read everything has.
func TestFoldIsTheSameThroughSnapshots(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		whole, cut := newFold(5), newFold(5)
		n := rapid.IntRange(1, 60).Draw(rt, "events")
		for seq := range uint64(n) {
			e := drawEvent(rt, seq+1)
			v1, a1 := whole.apply(e)
			v2, a2 := cut.apply(e)
			if (v1 == nil) != (v2 == nil) || (a1 == nil) != (a2 == nil) {
				rt.Fatalf("event %d is visible to one node only", seq+1)
			}
			if rapid.IntRange(0, 5).Draw(rt, "snapshot") == 0 {
				next := newFold(5)
				if err := next.load(cut.save(), cut.seq); err != nil {
					rt.Fatal(err)
				}
				cut = next
			}
		}
		if a, b := string(whole.save()), string(cut.save()); a != b {
			rt.Fatalf("folds differ:\n%s\n%s", a, b)
		}
		if a, b := fmt.Sprint(whole.modes), fmt.Sprint(cut.modes); a != b {
			rt.Fatalf("modes differ:\n%s\n%s", a, b)
		}
		if a, b := string(whole.state()), string(cut.state()); a != b {
			rt.Fatalf("states differ:\n%s\n%s", a, b)
		}
	})
}

func drawEvent(rt *rapid.T, seq uint64) *Event {
	e := &Event{Pos: Position{"e", seq * 3}, ID: fmt.Sprint("id-", seq)}
	switch rapid.IntRange(0, 5).Draw(rt, "sort") {
	case 0:
		e.Kind, e.Class = Like, Merged
		e.Body, _ = json.Marshal(mergedBody{N: uint64(rapid.IntRange(1, 9).Draw(rt, "n"))})
	case 1:
		e.Kind, e.Class = System, Critical
		e.Body, _ = json.Marshal(control{Type: rapid.SampledFrom([]string{controlOpen, controlClose, controlKick, "new"}).Draw(rt, "control")})
	case 2:
		e.Kind, e.Class, e.Body = Chat, Normal, json.RawMessage(`"hi"`)
	default:
		c := stateChange{Key: rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f", "g"}).Draw(rt, "key"), Delete: rapid.Bool().Draw(rt, "delete")}
		if !c.Delete {
			c.Value = json.RawMessage(fmt.Sprint(seq))
		}
		if rapid.Bool().Draw(rt, "conditional") {
			version := uint64(rapid.IntRange(0, int(seq)).Draw(rt, "if")) * 3
			c.If = &version
		}
		if rapid.IntRange(0, 3).Draw(rt, "modes") == 0 {
			c.Key = modesKey
			if !c.Delete {
				c.Value = json.RawMessage(rapid.SampledFrom([]string{`{"slow_ms":5000}`, `{"stopped":true,"until":1}`, `{"slow_ms":-1}`, `7`, `{"new":1}`}).Draw(rt, "value"))
			}
		}
		e.Kind, e.Class = State, Critical
		e.Body, _ = json.Marshal(c)
	}
	return e
}

func TestFoldIgnoresWhatItHasSeen(t *testing.T) {
	f := newFold(5)
	e := &Event{Pos: Position{"e", 7}, Kind: State, Class: Critical, ID: "x", Body: json.RawMessage(`{"key":"a","value":1}`)}
	if v, _ := f.apply(e); v == nil {
		t.Fatal("the first is invisible")
	}
	if v, _ := f.apply(e); v != nil {
		t.Fatal("the second is visible")
	}
	if err := f.load(json.RawMessage(`{"v":2}`), 1); err == nil {
		t.Fatal("a snapshot of another format was read")
	}
	if err := f.load(json.RawMessage(`nonsense`), 1); err == nil {
		t.Fatal("nonsense was read as a snapshot")
	}
}

func TestRecentForgetsTheOldest(t *testing.T) {
	r := newRecent[int, string](3)
	for i := range 5 {
		r.put(i, fmt.Sprint(i))
	}
	r.put(3, "again")
	if got := fmt.Sprint(r.keys()); got != "[2 3 4]" {
		t.Fatalf("keys %s", got)
	}
	if v, ok := r.get(3); !ok || v != "again" {
		t.Fatalf("3 is %q, %v", v, ok)
	}
	if _, ok := r.get(1); ok {
		t.Fatal("1 is still there")
	}
}
