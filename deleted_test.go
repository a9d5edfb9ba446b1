package im

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// drawDeletion draws the body of a moderation event, which may name anything.
func drawDeletion(rt *rapid.T, seq uint64) deletionBody {
	b := deletionBody{Type: rapid.SampledFrom([]string{deleteType, deleteType, deleteType, "mute"}).Draw(rt, "type"), Epoch: "e"}
	if rapid.IntRange(0, 9).Draw(rt, "foreign") == 0 {
		b.Epoch = "f"
	}
	b.Seqs = rapid.SliceOfN(rapid.Map(rapid.Uint64Range(0, seq+2), func(n uint64) uint64 { return 3 * n }), 0, 3).Draw(rt, "seqs")
	if rapid.Bool().Draw(rt, "of a user") {
		b.User = rapid.SampledFrom([]string{"ann", "bob", "cid", "dan"}).Draw(rt, "user")
		b.Kinds = rapid.SliceOfN(rapid.SampledFrom([]Kind{Chat, Danmaku, Gift, State}), 0, 2).Draw(rt, "kinds")
		b.Since = int64(rapid.IntRange(0, 90).Draw(rt, "since"))
	}
	return b
}

// deletionModel keeps all events and all deletions of a log.
type deletionModel struct {
	events    []*Event
	deletions []Deletion
	singles   map[uint64]bool
	ofUsers   map[string]int
}

func (m *deletionModel) take(e *Event) {
	m.events = append(m.events, e)
	d, ok := DeletionOf(e)
	if !ok {
		return
	}
	m.deletions = append(m.deletions, d)
	if m.singles == nil {
		m.singles, m.ofUsers = map[uint64]bool{}, map[string]int{}
	}
	for _, seq := range d.Seqs {
		m.singles[seq] = true
	}
	if d.User != "" {
		m.ofUsers[d.User]++
	}
}

// check holds that everything that was ever deleted is hidden, and nothing else unless there was more than the
// fold may remember.
func (m *deletionModel) check(rt *rapid.T, f *fold) {
	limits, users := f.limits.deleted, 0
	whole := true
	for _, n := range m.ofUsers {
		users += n
		whole = whole && n <= rememberDeletedUser
	}
	whole = whole && len(m.singles) <= limits.seqs && users <= limits.users
	for _, e := range m.events {
		want := false
		for i := range m.deletions {
			want = want || m.deletions[i].Deletes(e)
		}
		got := f.deleted.has(e)
		if want && !got || whole && got != want {
			rt.Fatalf("event %d of %s by %s is deleted: %v, want %v; %+v", e.Pos.Seq, e.Kind, e.From.ID, got, want, f.deleted)
		}
		if got && !f.hides(e) {
			rt.Fatalf("event %d is deleted and not hidden", e.Pos.Seq)
		}
	}
	n := 0
	for user, list := range f.deleted.users {
		if n += len(list); len(list) == 0 || len(list) > rememberDeletedUser {
			rt.Fatalf("%d deletions of %s are remembered", len(list), user)
		}
	}
	if n != f.deleted.n || n > limits.users || len(f.deleted.seqs) > limits.seqs {
		rt.Fatalf("%d deletions of users are counted as %d; %d of single events", n, f.deleted.n, len(f.deleted.seqs))
	}
}

// At the bounds the fold stays small, and hides more, never less.
func TestDeletedAtItsBounds(t *testing.T) {
	var d deleted
	limits := standardLimits().deleted
	rng := rand.New(rand.NewPCG(1, 2))
	var gone []uint64
	for at := uint64(1_000); len(gone) < 100_000; at += 1_000 {
		by := Deletion{Pos: Position{"e", at}}
		for range 100 {
			seq := at - 1 - rng.Uint64N(900)
			by.Seqs = append(by.Seqs, seq)
			gone = append(gone, seq)
		}
		d.add(&by, limits)
	}
	if len(d.seqs) != limits.seqs || d.floor == 0 {
		t.Fatalf("%d are remembered, floor %d", len(d.seqs), d.floor)
	}
	for _, seq := range gone {
		if !d.has(&Event{Pos: Position{"e", seq}, Kind: Chat, Class: Normal}) {
			t.Fatalf("%d came back", seq)
		}
	}
	if e := (&Event{Pos: Position{"e", d.floor}, Kind: State, Class: Critical}); d.has(e) {
		t.Fatal("a change of the state is hidden")
	}
	for i := range uint64(limits.users + 1) {
		d.add(&Deletion{Pos: Position{"e", 2_000_000 + i}, User: fmt.Sprint("u", i), Kinds: []Kind{Chat}}, limits)
	}
	if d.n != limits.users || d.floor != 2_000_000 || len(d.seqs) != 0 {
		t.Fatalf("%d of users are remembered, floor %d, %d single ones", d.n, d.floor, len(d.seqs))
	}
	data, err := json.Marshal(d.snapshot())
	if err != nil || len(data) > 1<<20 {
		t.Fatalf("the snapshot has %d bytes, %v", len(data), err)
	}
}

func TestDeletionsOfOneUser(t *testing.T) {
	var d deleted
	limits := standardLimits().deleted
	del := func(at uint64, since int64, kinds ...Kind) {
		by := Deletion{Pos: Position{"e", at}, User: "ann", Kinds: kinds}
		if since > 0 {
			by.Since = time.UnixMilli(since)
		}
		d.add(&by, limits)
	}
	has := func(seq uint64, at int64, kind Kind) bool {
		return d.has(&Event{Pos: Position{"e", seq}, Kind: kind, From: Author{ID: "ann"}, At: time.UnixMilli(at)})
	}
	for i := range uint64(20) {
		del(10+i, 100+int64(i), Chat)
	}
	if n := len(d.users["ann"]); n != rememberDeletedUser {
		t.Fatalf("%d are remembered", n)
	}
	for i := range uint64(20) {
		if !has(9+i, 100+int64(i), Chat) {
			t.Fatalf("what deletion %d hid came back", i)
		}
	}
	if has(5, 99, Chat) || has(5, 200, Gift) || has(40, 200, Chat) {
		t.Fatal("more is hidden than was deleted")
	}
	del(50, 0, Chat, Danmaku)
	if n := len(d.users["ann"]); n != 1 || !has(5, 1, Chat) || !has(49, 1, Danmaku) || has(50, 1, Chat) {
		t.Fatalf("a deletion of everything left %d", n)
	}
}

func TestSnapshotsWithDeletions(t *testing.T) {
	f := newFold(testLimits())
	for _, bad := range []string{
		`{"v":2,"deleted":{"seqs":"AA=="}}`, `{"v":2,"deleted":{"seqs":"gA=="}}`, `{"v":2,"deleted":{"seqs":7}}`,
		`{"v":2,"deleted":{"users":{"ann":[]}}}`, `{"v":2,"deleted":{"users":{"ann":[{"upto":2},{"upto":1}]}}}`,
	} {
		if err := f.load(json.RawMessage(bad), 9); err == nil {
			t.Errorf("%s is read as %+v", bad, f.deleted)
		}
	}
	good := `{"v":2,"deleted":{"floor":3,"seqs":"BQKsAg==","users":{"ann":[{"upto":90,"kinds":["chat"]}]}}}`
	if err := f.load(json.RawMessage(good), 9); err != nil || fmt.Sprint(f.deleted.seqs) != "[5 7 307]" || f.deleted.n != 1 || f.empty() {
		t.Errorf("%+v, %v", f.deleted, err)
	}
	if got := string(f.snapshot().encode()); got != good {
		t.Errorf("it is written as %s", got)
	}
}

// What a deletion costs, and what each event that is read costs, in a room that remembers as many as it may.
func BenchmarkDeletedAtItsBounds(b *testing.B) {
	limits := standardLimits().deleted
	var d deleted
	at := uint64(1)
	for ; len(d.seqs) < limits.seqs; at += 2 {
		d.add(&Deletion{Pos: Position{"e", at + 1}, Seqs: []uint64{at}}, limits)
	}
	for i := 0; d.n < limits.users; i, at = i+1, at+2 {
		d.add(&Deletion{Pos: Position{"e", at}, User: fmt.Sprint("u", i), Kinds: removedByDefault()}, limits)
	}
	b.Run("has", func(b *testing.B) {
		e := &Event{Pos: Position{"e", at - 1}, Kind: Chat, From: Author{ID: "u77"}, At: time.Now()}
		for b.Loop() {
			d.has(e)
		}
	})
	b.Run("snapshot", func(b *testing.B) {
		var data []byte
		for b.Loop() {
			data, _ = json.Marshal(d.snapshot())
		}
		b.ReportMetric(float64(len(data)), "bytes")
	})
	b.Run("add", func(b *testing.B) {
		for b.Loop() {
			d.add(&Deletion{Pos: Position{"e", at + 1}, Seqs: []uint64{at}}, limits)
			at += 2
		}
	})
	b.Run("addUser", func(b *testing.B) {
		for b.Loop() {
			d.add(&Deletion{Pos: Position{"e", at}, User: fmt.Sprint("v", at), Kinds: removedByDefault()}, limits)
			at += 2
		}
	})
}
