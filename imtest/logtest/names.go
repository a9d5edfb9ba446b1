package logtest

import (
	"slices"
	"strings"

	"github.com/liveim/im"
)

var nameCases = []testCase{
	{"RoomsNeverMeet", testRoomNames},
	{"FollowersOfRoomsNeverMeet", testFollowNames},
	{"IDsNeverMeet", testIDs},
}

// hardNames are all single bytes, and names that clumsy escapes, separators,
// wildcards, path elements or letter case may bring together. All are different.
func hardNames() []string {
	var all []string
	for b := range 256 {
		all = append(all, string([]byte{byte(b)}))
	}
	all = append(all, pairs...)
	all = append(all,
		strings.Repeat("x", 128), strings.Repeat("x", 127)+"y",
		strings.Repeat("%", 128), strings.Repeat("\xff", 128),
	)
	return all
}

// pairs are names of several bytes; no two are the same.
var pairs = []string{
	"a.b", "a..b", ".a", "a.", "..", "a.*", "a.>", "*.b", "a*", "a?", "[a]", ">>", "a>", "a:b", "a::b", "{a}", "a{b}",
	"a/b", "a//b", "/a", "a/", "./a", "../a", "../../a", `a\b`, `..\a`, "a%2Fb", "a%2fb", "a%252Fb", "a%b", "%2E", "%2e", "%00", "%%",
	"=2E", "_2E", "__", "_a", "x2E", `\x2e`, `\.`, `\\`, "u002e", "~1", "~0", "$a", "a$b",
	"\x00a", "a\x00", "a\x00b", "a\nb", "a\n", "\r\n", "a\tb", " a", "a ", "  ", "a b",
	"AB", "Ab", "aB", "ab", "CON", "nul.txt", "YQ==", "YQ", "61", "0x61", "-1", "00", "1e3", "1000",
	"é", "e\u0301", "房间", "\xe6\x88", "\xff\xfe", "\xc0\x80", "\ufffd", "\xef\xbf", "\u2028", "\ufeffa", "a'b", `a"b`, "a;b", "a--", "a,b",
}

func testRoomNames(f *fixture) {
	rooms := hardNames()
	for _, room := range rooms {
		if head := f.head(room); head.Seq != 0 {
			f.Fatalf("room %q, which nobody wrote to, has its head at %s: two different names never meet", room, head)
		}
		f.store(room, Event(im.Chat, im.Normal, room, `"own"`), Event(im.Chat, im.Normal, "the same in all", `1`))
	}
	for _, room := range rooms {
		want := []*im.Event{Event(im.Chat, im.Normal, room, `"own"`), Event(im.Chat, im.Normal, "the same in all", `1`)}
		got := f.all(room)
		for i := range min(len(got), len(want)) {
			want[i].At = got[i].At
		}
		f.wantEvents(got, want, "names of rooms may hold every byte, and two different names never meet")
	}
}

func testFollowNames(f *fixture) {
	rooms := append([]string{".", "*", ">", "/", "a", "%", "\x00", "?"}, pairs...)
	tails := make([]*tail, len(rooms))
	for i, room := range rooms {
		tails[i] = f.follow(room, f.head(room))
	}
	for _, room := range rooms {
		f.store(room, Event(im.Chat, im.Normal, "to "+room, `"own"`))
	}
	for i, room := range rooms {
		last := Event(im.Chat, im.Normal, "last", `1`)
		f.store(room, last)
		got := idsOf(tails[i].until("last"))
		if want := []string{"to " + room, "last"}; !slices.Equal(got, want) {
			f.Fatalf("the follower of room %q got %q, want %q: two different names never meet", room, got, want)
		}
	}
}

func testIDs(f *fixture) {
	const rule = "IDs of events may hold every byte, and two different ones never meet"
	ids := hardNames()
	var at []im.Position
	var want []*im.Event
	for chunk := range slices.Chunk(ids, 100) {
		events := Events(im.Normal, chunk...)
		want = append(want, events...)
		at = append(at, f.store(f.room, events...)...)
	}
	f.wantEvents(f.all(f.room), want, rule)
	for i, id := range ids {
		f.wantAppended(f.append(f.room, Events(im.Normal, id)...)[0], im.Duplicate, at[i], rule)
	}
}
