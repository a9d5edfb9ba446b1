package recording_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/internal/replay"
	"github.com/liveim/im/recording"
)

// newHub is a hub whose log has room for whole recordings.
func newHub(tb testing.TB) *im.Hub {
	tb.Helper()
	log, err := im.NewMemoryLog(&im.MemoryLogOptions{KeepVolatile: 1e6, KeepEvents: 1e6})
	if err != nil {
		tb.Fatal(err)
	}
	hub, err := im.New(func(*http.Request) (im.User, error) { return im.User{ID: "ann"}, nil }, &im.Options{Log: log})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = hub.Close() })
	return hub
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(tb testing.TB) T {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
		return v
	}
}

// filled is a room with a bit of everything.
func filled(t *testing.T, room *im.Room) {
	t.Helper()
	ctx := t.Context()
	ann := im.AsUser(im.User{ID: "ann", Name: "Ann & <co>"})
	must(room.Send(ctx, im.Danmaku, map[string]any{"text": "a <b> & \"c\"\x01\u2028 前方高能", "color": "#ff9a3c", "mode": 5}, ann))(t)
	must(room.Send(ctx, im.Chat, "just text", ann))(t)
	must(room.Send(ctx, im.Gift, map[string]any{"name": "rose", "n": 3}, ann, im.WithID("gift-1")))(t)
	version := must(room.Set(ctx, "slide", 12))(t)
	must(room.Set(ctx, "slide", 13, im.IfVersion(version)))(t)
	must(room.SetModes(ctx, im.Modes{Slow: time.Second}))(t)
	if err := room.Add(ctx, im.Like, 7); err != nil {
		t.Fatal(err)
	}
	must(room.Send(ctx, im.Notice, map[string]string{"text": "bye"}))(t)
}

// awaitLikes waits until the room shows its likes: they are told with a delay.
func awaitLikes(t *testing.T, room *im.Room) {
	t.Helper()
	for range time.Tick(5 * time.Millisecond) {
		page := must(room.History(t.Context(), im.HistoryQuery{Kinds: []im.Kind{im.Like}}))(t)
		if len(page.Events) > 0 {
			return
		}
	}
}

func exported(t *testing.T, room *im.Room) string {
	t.Helper()
	var b bytes.Buffer
	must(recording.WriteJSONLines(t.Context(), &b, room, im.HistoryQuery{Max: 3}))(t)
	return b.String()
}

var place = regexp.MustCompile(`"epoch":"[^"]*","seq":\d+,`)

func TestJSONLinesLoseNothing(t *testing.T) {
	hub := newHub(t)
	room := hub.Room("42")
	filled(t, room)
	awaitLikes(t, room)
	file := exported(t, room)
	if n := strings.Count(file, "\n"); n != 8 {
		t.Fatalf("%d lines, want 8\n%s", n, file)
	}

	report := must(recording.Import(t.Context(), hub.Room("copy"), strings.NewReader(file), nil))(t)
	if report.Events != 7 || report.Skipped != 1 { // the modes
		t.Errorf("%+v", report)
	}
	want := place.ReplaceAllString(file, "")
	want = regexp.MustCompile(`(?m)^.*im\.modes.*\n`).ReplaceAllString(want, "")
	want = regexp.MustCompile(`,"if":\d+`).ReplaceAllString(want, "")
	if got := place.ReplaceAllString(exported(t, hub.Room("copy")), ""); got != want {
		t.Errorf("the copy has\n%s, want\n%s", got, want)
	}
	if v, _, err := hub.Room("copy").State().Get(t.Context(), "slide"); err != nil || string(v) != "13" {
		t.Errorf("the state of the copy is %s, %v", v, err)
	}

	again := must(recording.Import(t.Context(), hub.Room("copy"), strings.NewReader(file), nil))(t)
	if again.Events != 0 || again.Duplicates != 7 {
		t.Errorf("the second time %+v", again)
	}
	into := must(recording.Import(t.Context(), room, strings.NewReader(file), nil))(t)
	if into.Events != 0 || into.Duplicates+into.Conflicts != 7 {
		t.Errorf("into the same room %+v", into)
	}
}

func TestStartMovesARecording(t *testing.T) {
	hub := newHub(t)
	file := `{"id":"a","kind":"chat","at":1764000000000,"body":"x"}` + "\n\n" + `{"id":"b","kind":"chat","at":1764000001500,"body":"y"}` + "\n"
	start := time.UnixMilli(1_800_000_000_000)
	must(recording.Import(t.Context(), hub.Room("42"), strings.NewReader(file), &recording.Options{Start: start}))(t)
	page := must(hub.Room("42").History(t.Context(), im.HistoryQuery{}))(t)
	if len(page.Events) != 2 || !page.Events[0].At.Equal(start) || page.Events[1].At.Sub(start) != 1500*time.Millisecond {
		t.Fatalf("%+v", page.Events)
	}
}

func TestXMLHidesWhoSaidIt(t *testing.T) {
	hub := newHub(t)
	room := hub.Room("42")
	filled(t, room)
	write := func(o *recording.XMLOptions) string {
		var b bytes.Buffer
		if n := must(recording.WriteXML(t.Context(), &b, room, im.HistoryQuery{Kinds: []im.Kind{im.Danmaku, im.Chat, im.Gift}}, o))(t); n != 2 {
			t.Fatalf("%d elements", n)
		}
		return b.String()
	}
	file := write(nil)
	for _, no := range []string{"ann", "Ann", "\x01", "<b>"} {
		if strings.Contains(file, no) {
			t.Errorf("the file has %q:\n%s", no, file)
		}
	}
	if !strings.Contains(file, `<d p="0.000,5,25,16751164,`) || !strings.Contains(file, "a &lt;b&gt; &amp; \"c\"\u2028 前方高能</d>") {
		t.Errorf("the file is\n%s", file)
	}
	if write(nil) == file {
		t.Error("two files have the same hashes without a key")
	}
	key := &recording.XMLOptions{Key: []byte("k")}
	if first, second := write(key), write(key); first != second {
		t.Error("two files have other hashes under one key")
	}

	into := hub.Room("copy")
	start := time.UnixMilli(1_800_000_000_000)
	report := must(recording.Import(t.Context(), into, strings.NewReader(file), &recording.Options{Start: start}))(t)
	if report.Events != 2 || !report.Start.Equal(start) {
		t.Errorf("%+v", report)
	}
	page := must(into.History(t.Context(), im.HistoryQuery{}))(t)
	body := must(im.Decode[map[string]any](page.Events[0]))(t)
	if body["text"] != "a <b> & \"c\"\u2028 前方高能" || body["mode"] != 5.0 || body["color"] != 16751164.0 || !strings.HasPrefix(page.Events[0].From.ID, "recorded:") {
		t.Errorf("%v from %v", body, page.Events[0].From)
	}
}

func TestImportNamesTheLine(t *testing.T) {
	const good = `{"id":"a","kind":"chat","at":1764000000000,"body":"x"}` + "\n"
	xml := func(s string) string { return "<?xml version=\"1.0\"?>\n<i>\n" + s + "\n</i>" }
	const d = `<d p="1,1,25,1,1,0,u,7">hi</d>`
	for _, tt := range []struct{ name, file, want string }{
		{"empty", "\n ", "empty"},
		{"gzip", "\x1f\x8b\x08", "decompress it"},
		{"neither", "hello", "starts with"},
		{"not JSON", good + "{nope", "line 2: invalid character"},
		{"neither shape", good + `{"id":"b"}`, `line 2: want "id"`},
		{"mixed", good + `{"t":1,"text":"x"}`, "line 2: events and danmaku"},
		{"mixed the other way", `{"t":1,"text":"x"}` + "\n" + good, "line 2: events and danmaku"},
		{"unknown kind", good + "\n" + `{"id":"b","kind":"nonsense","at":1764000000000}`, `line 3: im: not_found: event "b"`},
		{"bad id", good + `{"id":"\u0001","kind":"chat","at":1764000000000}`, "line 2: im: bad_request"},
		{"bad author", good + `{"id":"b","kind":"chat","at":1764000000000,"from":{"id":"\n"}}`, "line 2: im: bad_request"},
		{"long body", good + `{"id":"b","kind":"chat","at":1764000000000,"body":"` + strings.Repeat("x", 5000) + `"}`, "line 2: im: too_large"},
		{"before 1970", `{"id":"b","kind":"chat","at":-1}`, "line 1: im: bad_request"},
		{"out of order", good + `{"id":"b","kind":"chat","at":1763000000000}`, "line 2: "},
		{"long line", good + `{"id":"` + strings.Repeat("x", 1<<20), "line 2: longer than"},
		{"no time", `{"t":1e99,"text":"x"}`, "line 1: time 1e+99"},
		{"too many", good + strings.Replace(good, `"a"`, `"b"`, 1) + strings.Replace(good, `"a"`, `"c"`, 1) + strings.Replace(good, `"a"`, `"d"`, 1), "line 4: more than 3"},
		{"another document", "<html>\n</html>", "want <i>"},
		{"few fields", xml(d + "\n" + `<d p="1,2">x</d>`), "line 4: p=\"1,2\" has 2 fields"},
		{"no number", xml(`<d p="x,1,25,1,1,0,u,7">hi</d>`), "line 3: "},
		{"NaN", xml(`<d p="NaN,1,25,1,1,0,u,7">hi</d>`), "line 3: time NaN"},
		{"unfinished", "<i>\n" + d, "line 2: unexpected EOF"},
		{"a bomb", "<!DOCTYPE i [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]>\n<i><d p=\"1,1,25,1,1,0,u,7\">&b;</d></i>", "DTD"},
		{"an entity", xml(`<d p="1,1,25,1,1,0,u,7">&b;</d>`), "invalid character entity"},
		{"deep", "<i>" + strings.Repeat("<a>", 100_000), "nested deeper"},
		{"deep within", "<i><d p=\"1,1,25,1,1,0,u,7\">" + strings.Repeat("<a>", 100_000), "nested deeper"},
		{"long text", xml(`<d p="1,1,25,1,1,0,u,7">` + strings.Repeat("x", 1<<20)), "a part of more than"},
		{"long text in parts", xml(`<d p="1,1,25,1,1,0,u,7">` + strings.Repeat(strings.Repeat("x", 1000)+"<!-- -->", 1000)), "a text of more than"},
		{"long attribute", xml(`<d p="` + strings.Repeat("1", 1<<20)), "a part of more than"},
		{"too many elements", xml(strings.Repeat(d+"\n", 4)), "line 6: more than 3"},
		{"another encoding", `<?xml version="1.0" encoding="gbk"?><i></i>`, "encoding"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := recording.Import(t.Context(), newHub(t).Room("42"), strings.NewReader(tt.file), &recording.Options{Events: 3})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestWritersRefuse(t *testing.T) {
	room := newHub(t).Room("42")
	if _, err := recording.WriteJSONLines(t.Context(), &bytes.Buffer{}, room, im.HistoryQuery{Newest: true}); err == nil {
		t.Error("Newest is taken")
	}
	gone := im.HistoryQuery{After: im.Position{Epoch: "gone", Seq: 1}}
	if _, err := recording.WriteXML(t.Context(), &bytes.Buffer{}, room, gone, nil); !errors.Is(err, im.ErrGap) {
		t.Errorf("a gap is %v", err)
	}
	filled(t, room)
	if _, err := recording.WriteJSONLines(t.Context(), broken{}, room, im.HistoryQuery{}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("a writer that fails is %v", err)
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, os.ErrClosed }

// Real recordings go into a room and out again, by both formats, and say the same.
func TestRealRecordings(t *testing.T) {
	files := must(replay.Find())(t)
	if len(files) == 0 {
		items := replay.Generate(replay.Profile{Duration: 5 * time.Minute, Rate: 8})
		var made bytes.Buffer
		for _, it := range items {
			_ = json.NewEncoder(&made).Encode(map[string]any{"t": it.At.Seconds(), "mode": it.Mode, "size": it.Size, "color": it.Color, "user": it.User, "text": it.Text})
		}
		name := filepath.Join(t.TempDir(), "made.jsonl")
		if err := os.WriteFile(name, made.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, name)
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) { throughBothFormats(t, name) })
	}
}

func throughBothFormats(t *testing.T, name string) {
	hub := newHub(t)
	data := must(os.ReadFile(name))(t)
	start := time.UnixMilli(1_764_000_000_000)
	o := &recording.Options{Start: start}
	first := must(recording.Import(t.Context(), hub.Room("a"), bytes.NewReader(data), o))(t)
	again := must(recording.Import(t.Context(), hub.Room("a"), bytes.NewReader(data), o))(t)
	if again.Events != 0 || again.Duplicates != first.Events {
		t.Errorf("imported %+v, then %+v", first, again)
	}
	want := says(t, hub.Room("a"))
	var plain []string
	for _, it := range must(replay.Read(bytes.NewReader(data), nil))(t) {
		if it.Plain() {
			plain = append(plain, fmt.Sprintf("%d %d %d %06x %s", it.At.Round(time.Millisecond).Milliseconds(), it.Mode, it.Size, it.Color, it.Text))
		}
	}
	if !slices.Equal(want, plain) {
		t.Fatalf("the room says %d things, the file %d, or others", len(want), len(plain))
	}

	lines := exported(t, hub.Room("a"))
	must(recording.Import(t.Context(), hub.Room("b"), strings.NewReader(lines), nil))(t)
	if got := exported(t, hub.Room("b")); place.ReplaceAllString(got, "") != place.ReplaceAllString(lines, "") {
		t.Error("JSON Lines do not come back as they were")
	}
	var xml bytes.Buffer
	n := must(recording.WriteXML(t.Context(), &xml, hub.Room("a"), im.HistoryQuery{}, &recording.XMLOptions{Start: start}))(t)
	report := must(recording.Import(t.Context(), hub.Room("c"), &xml, o))(t)
	if n != first.Events || report.Events != n {
		t.Errorf("%d were imported, %d written and %d read", first.Events, n, report.Events)
	}
	if got := says(t, hub.Room("c")); !slices.Equal(got, want) {
		t.Error("XML does not come back as it was")
	}
	t.Logf("%d events, %d skipped", first.Events, first.Skipped)
}

// says is what a room holds of a recording that began at 1764000000000.
func says(t *testing.T, room *im.Room) (all []string) {
	t.Helper()
	for page, err := range room.Pages(t.Context(), im.HistoryQuery{}) {
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.Events {
			b := must(im.Decode[struct {
				Text       string
				Mode, Size int
				Color      *int
			}](e))(t)
			mode, size, color := max(b.Mode, 1), b.Size, 0xffffff
			if size == 0 {
				size = 25
			}
			if b.Color != nil {
				color = *b.Color
			}
			all = append(all, fmt.Sprintf("%d %d %d %06x %s", e.At.UnixMilli()-1_764_000_000_000, mode, size, color, b.Text))
		}
	}
	return all
}
