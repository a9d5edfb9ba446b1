package im

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The fold of a log is the same however it is cut by snapshots: what a node
// that starts from a snapshot has equals what one that read everything has.
func TestFoldIsTheSameThroughSnapshots(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		whole, cut := newFold(testLimits()), newFold(testLimits())
		var model deletionModel
		n := rapid.IntRange(1, 80).Draw(rt, "events")
		for seq := range uint64(n) {
			e := drawEvent(rt, whole, seq+1)
			v1, a1 := whole.apply(e)
			v2, a2 := cut.apply(e)
			if (v1 == nil) != (v2 == nil) || (a1 == nil) != (a2 == nil) {
				rt.Fatalf("event %d is visible to one node only", seq+1)
			}
			if v1 != nil && string(v1.Body) != string(v2.Body) {
				rt.Fatalf("event %d is %s to one node and %s to another", seq+1, v1.Body, v2.Body)
			}
			if v1 != nil && v1.Kind == State && strings.Contains(string(v1.Body), `"~`) {
				rt.Fatalf("event %d of a private key is visible: %s", seq+1, v1.Body)
			}
			if v1 == nil && !whole.hides(e) && e.Class != Merged || v1 != nil && whole.hides(e) {
				rt.Fatalf("event %d is hidden in one way only: %s", seq+1, e.Body)
			}
			checkDerived(rt, cut)
			model.take(e)
			model.check(rt, cut)
			if rapid.IntRange(0, 5).Draw(rt, "snapshot") == 0 {
				next := newFold(testLimits())
				if err := next.load(cut.snapshot().encode(), cut.seq); err != nil {
					rt.Fatal(err)
				}
				cut = next
			}
		}
		if a, b := string(whole.snapshot().encode()), string(cut.snapshot().encode()); a != b {
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

// checkDerived compares what a fold keeps beside its cells with what they say.
func checkDerived(rt *rapid.T, f *fold) {
	var public, private usage
	owners, due, seen := map[string]int{}, int64(0), 0
	for key, c := range f.cells.m {
		if c.Owner != "" {
			owners[c.Owner]++
		}
		if c.Until > 0 && (due == 0 || c.Until < due) {
			due = c.Until
		}
		u := &public
		if strings.HasPrefix(key, privatePrefix) {
			u = &private
		} else {
			seen++
		}
		if !strings.HasPrefix(key, reservedPrefix) {
			u.keys, u.bytes = u.keys+1, u.bytes+c.size(key)
		}
	}
	over := func(u, limit usage) bool { return u.keys > limit.keys || u.bytes > limit.bytes }
	switch {
	case public != f.cells.public || private != f.cells.private:
		rt.Fatalf("%v and %v are counted as %v and %v", public, private, f.cells.public, f.cells.private)
	case over(public, f.limits.public) || over(private, f.limits.private):
		rt.Fatalf("%v and %v are over the limits", public, private)
	case !slices.IsSortedFunc(f.cells.sorted, func(a, b keyed) int { return strings.Compare(a.key, b.key) }) || len(f.cells.sorted) != len(f.cells.m):
		rt.Fatalf("the sorted keys are %v", f.cells.sorted)
	case f.cells.nextDue() != due:
		rt.Fatalf("the first key expires at %d, not at %d", due, f.cells.nextDue())
	case fmt.Sprint(owners) != fmt.Sprint(f.owners):
		rt.Fatalf("owners %v are counted as %v", owners, f.owners)
	}
	for user := range f.asked {
		if owners[user] == 0 {
			rt.Fatalf("%s owns nothing and is asked for", user)
		}
	}
	for _, c := range f.cells.sorted {
		if f.cells.m[c.key] != c.cell {
			rt.Fatalf("key %q has another value where it is sorted", c.key)
		}
	}
	var state map[string]struct {
		Value json.RawMessage
	}
	if err := json.Unmarshal(f.state(), &state); err != nil || len(state) != seen {
		rt.Fatalf("the state is %s (%v)", f.state(), err)
	}
	for key, c := range f.cells.m {
		if isPrivate(key) {
			continue
		}
		if string(state[key].Value) != string(c.Value) {
			rt.Fatalf("key %q is encoded as %s, not as %s", key, state[key].Value, c.Value)
		}
	}
}

func testLimits() stateLimits {
	return stateLimits{value: 20, public: usage{5, 40}, private: usage{3, 30}, deleted: deletedLimits{6, 3}}
}

func drawEvent(rt *rapid.T, f *fold, seq uint64) *Event {
	e := &Event{Pos: Position{"e", seq * 3}, ID: fmt.Sprint("id-", seq)}
	users := []string{"ann", "bob"}
	switch rapid.IntRange(0, 11).Draw(rt, "sort") {
	case 0:
		e.Kind, e.Class = Like, Merged
		e.Body, _ = json.Marshal(mergedBody{N: uint64(rapid.IntRange(1, 9).Draw(rt, "n"))})
	case 1:
		e.Kind, e.Class = System, Critical
		sort := rapid.SampledFrom([]string{controlOpen, controlClose, controlKick, controlSync, controlRoll, controlRoll, controlHere, "new"}).Draw(rt, "control")
		e.Body, _ = json.Marshal(control{Type: sort, Users: rapid.SliceOfN(rapid.SampledFrom(users), 0, 2).Draw(rt, "users")})
	case 2, 3, 4:
		e.Kind = rapid.SampledFrom([]Kind{Chat, Danmaku, Gift}).Draw(rt, "kind")
		e.Class, e.Body = builtinKinds()[e.Kind].Class, json.RawMessage(`"hi"`)
		e.From.ID = rapid.SampledFrom(users).Draw(rt, "from")
		e.At = time.UnixMilli(int64(rapid.IntRange(1, 90).Draw(rt, "at")))
	case 5, 6:
		e.Kind, e.Class = Moderation, Critical
		e.Body, _ = json.Marshal(drawDeletion(rt, seq))
	default:
		e.Kind, e.Class = State, Critical
		e.Body, _ = json.Marshal(drawChange(rt, f, seq))
	}
	return e
}

func drawChange(rt *rapid.T, f *fold, seq uint64) (c stateChange) {
	c.Key = rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f", "g", "~a", "~b", "~c", "~d"}).Draw(rt, "key")
	number := rapid.SampledFrom([]int64{1, -1, 7, MaxSeq, -MaxSeq, math.MaxInt64, math.MinInt64})
	switch rapid.IntRange(0, 3).Draw(rt, "change") {
	case 0:
		c.Delete = true
	case 1:
		by := number.Draw(rt, "by")
		c.Add = &by
		if rapid.Bool().Draw(rt, "bounded") {
			low, high := int64(-2), int64(9)
			c.Min, c.Max = &low, &high
		}
	default:
		c.Value = json.RawMessage(rapid.SampledFrom([]string{fmt.Sprint(seq), `"eleven bytes"`, "null", "9007199254740991", `"more than twenty bytes"`, "1.5"}).Draw(rt, "value"))
	}
	if rapid.IntRange(0, 3).Draw(rt, "conditional") == 0 {
		version := uint64(rapid.IntRange(0, int(seq)).Draw(rt, "if")) * 3
		c.If = &version
	}
	if rapid.IntRange(0, 3).Draw(rt, "mine") == 0 {
		c.Mine = "ann"
	}
	if rapid.IntRange(0, 3).Draw(rt, "absent") == 0 {
		c.Absent = max(1, f.asked["ann"])
	}
	if !c.Delete {
		c.Until = rapid.SampledFrom([]int64{0, 0, 5, 6}).Draw(rt, "until")
		c.Owner = rapid.SampledFrom([]string{"", "", "ann", "bob"}).Draw(rt, "owner")
	}
	if rapid.IntRange(0, 5).Draw(rt, "modes") == 0 {
		c = stateChange{Key: modesKey, If: c.If, Delete: c.Delete}
		if !c.Delete {
			c.Value = json.RawMessage(rapid.SampledFrom([]string{`{"slow_ms":5000}`, `{"stopped":true,"until":1}`, `{"slow_ms":-1}`, `7`, `{"new":1}`}).Draw(rt, "value"))
		}
	}
	return c
}

func TestFoldIgnoresWhatItHasSeen(t *testing.T) {
	f := newFold(testLimits())
	e := &Event{Pos: Position{"e", 7}, Kind: State, Class: Critical, ID: "x", Body: json.RawMessage(`{"key":"a","value":1}`)}
	if v, _ := f.apply(e); v == nil {
		t.Fatal("the first is invisible")
	}
	if v, _ := f.apply(e); v != nil {
		t.Fatal("the second is visible")
	}
	if err := f.load(json.RawMessage(`{"v":3}`), 1); err == nil {
		t.Fatal("a snapshot of another format was read")
	}
	if err := f.load(json.RawMessage(`nonsense`), 1); err == nil {
		t.Fatal("nonsense was read as a snapshot")
	}
}

func TestFoldReadsSnapshotsOfVersion1(t *testing.T) {
	f := newFold(testLimits())
	old := `{"v":1,"cells":{"a":{"value":1,"version":3},"im.modes":{"value":{"slow_ms":5000,"until":9},"version":4}},"closed":true,"outcomes":{"x":{"version":3}},"order":["x"],"lost":[2]}`
	if err := f.load(json.RawMessage(old), 4); err != nil {
		t.Fatal(err)
	}
	if a := f.cells.get("a"); string(a.Value) != "1" || a.Version != 3 || f.cells.public.keys != 1 || f.cells.nextDue() != 9 || f.modes == nil || !f.closed {
		t.Fatalf("it reads %+v, due %d, modes %v", a, f.cells.nextDue(), f.modes)
	}
	again := newFold(testLimits())
	if err := again.load(f.snapshot().encode(), 4); err != nil || string(again.state()) != string(f.state()) {
		t.Fatalf("%v: %s became %s", err, f.state(), again.state())
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
