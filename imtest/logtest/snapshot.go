package logtest

import (
	"encoding/json"
	"fmt"

	"github.com/liveim/im"
)

var snapshotCases = []testCase{
	{"None", testNoSnapshot},
	{"ComesBackAsItWas", testSnapshotRoundTrip},
	{"TheNewerWins", testNewerSnapshot},
	{"OfAnEpochThatIsGone", testForeignSnapshot},
	{"PerRoom", testSnapshotRooms},
	{"ConcurrentSaves", testConcurrentSaves},
	{"StaysOutOfTheRoom", testSnapshotIsNoEvent},
}

// snapshots returns the log under test, which has that ability.
func (f *fixture) snapshots() im.SnapshotLog {
	f.Helper()
	l, ok := f.log.(im.SnapshotLog)
	if !ok {
		f.Fatalf("logtest: the log is no SnapshotLog, but another that Open returned is")
	}
	return l
}

func (f *fixture) save(room string, pos im.Position, data string) {
	f.Helper()
	ctx, cancel := background()
	defer cancel()
	given := []byte(data)
	if err := f.snapshots().SaveSnapshot(ctx, room, im.Snapshot{Pos: pos, Data: given}); err != nil {
		f.Fatalf("SaveSnapshot of room %q at %s: %v", room, pos, err)
	}
	for i := range given {
		given[i] = '!' // the slice belongs to the caller
	}
}

func (f *fixture) wantSnapshot(room string, pos im.Position, data, rule string) {
	f.Helper()
	ctx, cancel := background()
	defer cancel()
	s, ok, err := f.snapshots().LoadSnapshot(ctx, room)
	if err != nil {
		f.Fatalf("LoadSnapshot of room %q: %v", room, err)
	}
	if want := pos != (im.Position{}); ok != want {
		f.Fatalf("LoadSnapshot of room %q found one: %v, want %v: %s", room, ok, want, rule)
	}
	if ok && (s.Pos != pos || string(s.Data) != data) {
		f.Fatalf("LoadSnapshot of room %q returned %s at %s, want %s at %s: %s", room, s.Data, s.Pos, data, pos, rule)
	}
}

func testNoSnapshot(f *fixture) {
	const rule = "none was saved"
	f.wantSnapshot(f.room, im.Position{}, "", rule)
	f.store(f.room, Events(im.Normal, "a")...)
	f.wantSnapshot(f.room, im.Position{}, "", rule)
}

func testSnapshotRoundTrip(f *fixture) {
	big, err := json.Marshal(names("attribute", 5000))
	if err != nil {
		f.Fatalf("%v", err)
	}
	for i, data := range []string{`{"b":1, "a" : [null]}`, `null`, `"\u0000<&>弹幕"`, string(big)} {
		room := fmt.Sprint("room ", i)
		at := f.store(room, Events(im.Critical, "a")...)[0]
		f.save(room, at, data)
		f.wantSnapshot(room, at, data, "a snapshot comes back byte for byte, and its slice stays the caller's")
	}
}

func testNewerSnapshot(f *fixture) {
	at := f.store(f.room, Events(im.Critical, "a", "b", "c")...)
	const rule = "the newer snapshot wins whatever the order of calls"
	f.save(f.room, at[1], `"b"`)
	f.save(f.room, at[0], `"a"`)
	f.wantSnapshot(f.room, at[1], `"b"`, rule)
	f.save(f.room, at[2], `"c"`)
	f.wantSnapshot(f.room, at[2], `"c"`, rule)
	f.save(f.room, at[1], `"b"`)
	f.wantSnapshot(f.room, at[2], `"c"`, rule)
}

func testForeignSnapshot(f *fixture) {
	at := f.store(f.room, Events(im.Critical, "a", "b")...)
	const rule = "a snapshot of an epoch that is gone is of no use to anybody"
	f.save("another room", im.Position{Epoch: "no-such-epoch", Seq: 5}, `"gone"`)
	f.wantSnapshot("another room", im.Position{}, "", rule)
	f.save(f.room, im.Position{Epoch: "no-such-epoch", Seq: 5}, `"gone"`)
	f.wantSnapshot(f.room, im.Position{}, "", rule)
	f.save(f.room, at[0], `"a"`)
	f.wantSnapshot(f.room, at[0], `"a"`, "a snapshot of the current epoch replaces one of an epoch that is gone, whatever their numbers")
	f.save(f.room, im.Position{Epoch: "no-such-epoch", Seq: 9}, `"gone"`)
	f.save(f.room, at[1], `"b"`)
	f.wantSnapshot(f.room, at[1], `"b"`, rule)
}

func testSnapshotRooms(f *fixture) {
	rooms := []string{"a", "a.b", "a/b", "*", ">", "\x00", "A"}
	at := make([]im.Position, len(rooms))
	for i, room := range rooms {
		at[i] = f.store(room, Events(im.Critical, "e")...)[0]
		f.save(room, at[i], fmt.Sprint(i))
	}
	for i, room := range rooms {
		f.wantSnapshot(room, at[i], fmt.Sprint(i), "every room has a snapshot of its own")
	}
}

func testConcurrentSaves(f *fixture) {
	at := f.store(f.room, Events(im.Critical, names("e", 40)...)...)
	f.concurrently(func(g int) {
		for i := range at {
			k := (i*7 + g*5) % len(at)
			f.save(f.room, at[k], fmt.Sprint(k))
		}
	})
	f.wantSnapshot(f.room, at[39], "39", "the newest of concurrent saves wins")
}

func testSnapshotIsNoEvent(f *fixture) {
	tail := f.follow(f.room, im.Position{})
	events := Events(im.Critical, "a", "b")
	at := f.store(f.room, events...)
	f.save(f.room, at[1], `"b"`)
	if head := f.head(f.room); head != at[1] {
		f.Fatalf("a snapshot moved the head from %s to %s", at[1], head)
	}
	events = append(events, f.end())
	f.wantEvents(tail.until("last"), events, "a snapshot is not an event")
	f.wantEvents(f.all(f.room), events, "a snapshot is not an event")
	f.wantSnapshot(f.room, at[1], `"b"`, "later events leave the snapshot alone")
}
