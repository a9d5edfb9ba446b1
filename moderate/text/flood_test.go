package text

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/liveim/im/internal/replay"
)

var start = time.Unix(1_700_000_000, 0)

func flood(t testing.TB, opts *FloodOptions) *Flood {
	t.Helper()
	f, err := NewFlood(opts)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestAlike(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want bool
	}{
		{"加我微信领取免费福利名额有限", "加我微信领取免费福利名额有限", true},
		{"加我微信领取免费福利名额有限", "加我微信领取免费福利名额有限88", true},
		{"加我微信领取免费福利名额有限", "加。我 微信领取，免费福利！名额有限", true},
		{"加我微信领取免费福利名额有限", "【1】加我微信领取免费福利名额有限", true},
		{"Buy cheap followers at my page now", "BUY cheap f0llowers at my page now!!! x7", true},
		{"Buy cheap followers at my page now", "ｂｕｙ ｃｈｅａｐ ｆｏｌｌｏｗｅｒｓ at my page now", true},
		{"Buy cheap followers at my page now", "Buy cheap followers at my paaaage nowwwww", true},
		{"Buy cheap followers at my page now", "Selling the best accounts of the game", false},
		{"加我微信领取免费福利名额有限", "主播今天的操作真的很厉害啊学到了", false},
		{"666", "666666", true},
		{"哈哈", "哈哈哈哈哈！", true},
		{"好的", "好啊", false},
		{"😀😀", "😀😀", true},
		{"😀", "🔥", false},
		{"???", "!!!", false},
	} {
		a, b := fingerprint(test.a), fingerprint(test.b)
		if got := alike(&a, &b); got != test.want {
			t.Errorf("%q and %q: alike is %v", test.a, test.b, got)
		}
	}
}

func TestFloodOfOneUser(t *testing.T) {
	f := flood(t, nil)
	advert := "加我微信领取免费福利名额有限"
	for i := range 3 {
		if v := f.Check(start.Add(time.Duration(i)*5*time.Second), fmt.Sprint("room", i), "spammer", advert+fmt.Sprint(i)); v.Reason != FloodNone {
			t.Errorf("time %d: %+v", i, v)
		}
	}
	v := f.Check(start.Add(15*time.Second), "room9", "spammer", "👉"+advert)
	if v != (FloodVerdict{FloodRepeat, 4, 15 * time.Second}) {
		t.Errorf("the fourth: %+v", v)
	}
	if v := f.Check(start.Add(16*time.Second), "room9", "spammer", "something else"); v.Reason != FloodNone {
		t.Errorf("something else: %+v", v)
	}
	if v := f.Check(start.Add(16*time.Second), "room9", "another", advert); v.Reason != FloodNone {
		t.Errorf("another user: %+v", v)
	}
	if v := f.Check(start.Add(2*time.Minute), "room9", "spammer", advert); v.Reason != FloodNone {
		t.Errorf("after the window: %+v", v)
	}
}

func TestFloodOfTexts(t *testing.T) {
	f := flood(t, &FloodOptions{Texts: 4, Window: 10 * time.Second})
	for i := range 4 {
		if v := f.Check(start.Add(time.Duration(i)*100*time.Millisecond), "r", "u", strings.Repeat(string(rune('a'+i)), 1)); v.Reason != FloodNone {
			t.Errorf("text %d: %+v", i, v)
		}
	}
	if v := f.Check(start.Add(500*time.Millisecond), "r", "u", "x"); v != (FloodVerdict{FloodTexts, 5, 1500 * time.Millisecond}) {
		t.Errorf("the fifth: %+v", v)
	}
}

func TestFloodOfARoom(t *testing.T) {
	f := flood(t, nil)
	for i := range 20 {
		at := start.Add(time.Duration(i) * time.Second)
		v := f.Check(at, "room", fmt.Sprint("user", i), fmt.Sprint("join the best guild on server nine ", i))
		if want := i >= 5; (v.Reason == FloodRoomRepeat) != want {
			t.Errorf("time %d: %+v", i, v)
		}
		if v := f.Check(at, "room", fmt.Sprint("fan", i), "前方高能"); v.Reason != FloodNone {
			t.Errorf("a cheer: %+v", v)
		}
		if i < 5 {
			if v := f.Check(at, "other", fmt.Sprint("visitor", i), "join the best guild on server nine"); v.Reason != FloodNone {
				t.Errorf("another room: %+v", v)
			}
		}
	}
}

// What people said to a film within half a minute is not the same over and over, but where it was.
func TestFloodOnRecordings(t *testing.T) {
	paths, err := replay.Find()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		items, err := replay.ReadFile(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		f := flood(t, nil)
		n, plain := 0, 0
		for _, it := range items {
			if !it.Plain() || strings.Contains(it.Text, "/n") {
				continue // drawings, which come in many pieces
			}
			plain++
			if v := f.Check(start.Add(it.At), "room", it.User, it.Text); v.Reason != FloodNone {
				n++
			}
		}
		t.Logf("%s: %d of %d", path, n, plain)
		if 10*n > plain {
			t.Errorf("%s: %d of %d texts are a flood", path, n, plain)
		}
	}
}

func TestFloodForgets(t *testing.T) {
	f := flood(t, &FloodOptions{Users: 8, Rooms: 4})
	for i := range 1000 {
		f.Check(start.Add(time.Duration(i)), fmt.Sprint(i), fmt.Sprint(i), "one text of a good length for rooms")
	}
	if n := len(f.users.sets) * ways; n != 8 {
		t.Errorf("%d users are remembered, want 8", n)
	}
}

func TestFloodOptionErrors(t *testing.T) {
	for _, o := range []FloodOptions{{Repeats: 9}, {Texts: -1}, {RoomRepeats: 33}, {Window: -1}, {Users: -5}, {Rooms: 1 << 30}, {RoomLetters: -1}} {
		if _, err := NewFlood(&o); err == nil || !strings.HasPrefix(err.Error(), "FloodOptions.") {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

func TestFloodConcurrently(t *testing.T) {
	f := flood(t, &FloodOptions{Users: 4, Rooms: 4})
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 500 {
				f.Check(start.Add(time.Duration(i)), fmt.Sprint(i%3), fmt.Sprint(g, i%5), "hello there everybody in this room")
			}
		})
	}
	wg.Wait()
}

func TestFloodAllocatesNothing(t *testing.T) {
	f := flood(t, nil)
	if n := testing.AllocsPerRun(100, func() { f.Check(start, "room", "user", "前方高能预警非战斗人员请有序撤离") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Unrelated texts must not be taken for the same.
func TestFingerprintsOfUnrelatedTexts(t *testing.T) {
	seenTexts := map[string]seen{}
	for _, it := range replay.Generate(replay.Profile{Seed: 1, Duration: time.Minute}) {
		seenTexts[it.Text] = fingerprint(it.Text)
	}
	for i := range 500 {
		var b strings.Builder
		for j := range 12 {
			b.WriteRune(0x4E00 + rune(mix(uint64(i*100+j))%3000))
		}
		seenTexts[b.String()] = fingerprint(b.String())
	}
	pairs, wrong := 0, 0
	for a, x := range seenTexts {
		for b, y := range seenTexts {
			if len(a) > 30 && len(b) > 30 && a < b {
				pairs++
				if alike(&x, &y) {
					wrong++
				}
			}
		}
	}
	if wrong*20_000 > pairs {
		t.Errorf("%d of %d pairs are alike", wrong, pairs)
	}
	t.Logf("%d of %d pairs are alike", wrong, pairs)
}

func BenchmarkFlood(b *testing.B) {
	f := flood(b, nil)
	texts := []string{"前方高能预警非战斗人员请有序撤离前方高能预警非战斗人员请有", "hello there, how are you today", strings.Repeat("a long text of nothing ", 20)}
	for _, text := range texts {
		b.Run(fmt.Sprintf("%d bytes", len(text)), func(b *testing.B) {
			b.ReportAllocs()
			now := start
			for b.Loop() {
				now = now.Add(time.Millisecond)
				f.Check(now, "room", "user", text)
			}
		})
	}
}
