package im_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest"
)

// countingLog counts what is read of a log.
type countingLog struct {
	*im.MemoryLog
	reads, events atomic.Int64
}

func (l *countingLog) Read(ctx context.Context, room string, r im.Range) (im.Page, error) {
	p, err := l.MemoryLog.Read(ctx, room, r)
	l.reads.Add(1)
	l.events.Add(int64(len(p.Events)))
	return p, err
}

// recorded is a hub whose room "42" has events of given times, in seconds after recordedAt, and
// of kinds that take turns.
func recorded(tb rapid.TB, keep *im.MemoryLogOptions, seconds []float64) (*im.Hub, *countingLog) {
	tb.Helper()
	memory, err := im.NewMemoryLog(keep)
	if err != nil {
		tb.Fatal(err)
	}
	events := make([]*im.Event, len(seconds))
	for i, s := range seconds {
		e := &im.Event{ID: fmt.Sprint("e", i), Kind: im.Danmaku, Class: im.Volatile, At: at(s), Body: []byte(fmt.Sprint(i)), Digest: "d"}
		switch {
		case i%50 == 7:
			e.Kind, e.Class = im.Gift, im.Critical
		case i%5 == 3:
			e.Kind, e.Class = im.Chat, im.Normal
		case i%11 == 10:
			e.Kind, e.Class, e.Body = im.System, im.Critical, []byte(`{"type":"kick","user":"nobody"}`)
		}
		events[i] = e
	}
	if _, err := memory.Append(context.Background(), "42", events); err != nil {
		tb.Fatal(err)
	}
	log := &countingLog{MemoryLog: memory}
	hub, err := im.New(func(*http.Request) (im.User, error) { return im.User{ID: "ann"}, nil }, &im.Options{Log: log})
	if err != nil {
		tb.Fatal(err)
	}
	return hub, log
}

var recordedAt = time.UnixMilli(1_764_000_000_000)

func at(seconds float64) time.Time {
	return recordedAt.Add(time.Duration(seconds * float64(time.Second)))
}

// keepAll is a log that has room for every event of these tests.
func keepAll() *im.MemoryLogOptions { return &im.MemoryLogOptions{KeepEvents: 1e6, KeepVolatile: 1e6} }

// Whatever is asked for, the pages together are what a filter over the whole log says, both ways.
func TestHistoryIsAFilterOverTheLog(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 400).Draw(t, "events")
		jitter := rapid.SampledFrom([]float64{0, 1, 9.9}).Draw(t, "disorder")
		seconds := make([]float64, n)
		for i := range seconds {
			seconds[i] = float64(i) + jitter*rapid.Float64Range(-0.5, 0.5).Draw(t, "off")
		}
		keep := keepAll()
		if rapid.Bool().Draw(t, "trimmed") {
			keep = &im.MemoryLogOptions{KeepEvents: 40, KeepVolatile: 60}
		}
		hub, memory := recorded(t, keep, seconds)
		defer func() { _ = hub.Close() }()
		room := hub.Room("42")
		head, err := memory.Head(t.Context(), "42")
		if err != nil {
			t.Fatal(err)
		}
		kept, err := memory.Read(t.Context(), "42", im.Range{Max: 1000})
		if err != nil {
			t.Fatal(err)
		}

		q := im.HistoryQuery{Max: rapid.IntRange(1, 30).Draw(t, "max"), Newest: rapid.Bool().Draw(t, "newest")}
		span := rapid.Float64Range(-20, float64(n)+20)
		if rapid.Bool().Draw(t, "from") {
			q.From = at(span.Draw(t, "from"))
		}
		if to := at(span.Draw(t, "to")); rapid.Bool().Draw(t, "to") && to.After(q.From) {
			q.To = to
		}
		q.Kinds = rapid.SampledFrom([][]im.Kind{nil, {im.Gift}, {im.Chat, im.Danmaku}, {im.Notice}}).Draw(t, "kinds")
		if rapid.Bool().Draw(t, "before") {
			q.Before = im.Position{Epoch: head.Epoch, Seq: rapid.Uint64Range(1, uint64(n)+5).Draw(t, "before")}
		}
		var want []string
		for _, e := range kept.Events {
			if e.Kind != im.System && (q.From.IsZero() || !e.At.Before(q.From)) && (q.To.IsZero() || e.At.Before(q.To)) &&
				(q.Before.IsZero() || e.Pos.Seq < q.Before.Seq) && (len(q.Kinds) == 0 || slices.Contains(q.Kinds, e.Kind)) {
				want = append(want, e.ID)
			}
		}
		var got []string
		for page, err := range room.Pages(t.Context(), q) {
			switch {
			case errors.Is(err, im.ErrGap) && keep.KeepVolatile == 60 && !q.Newest:
				// Volatile events from before the oldest durable one: a page ended among them.
				return
			case err != nil:
				t.Fatal(err)
			case len(page.Events) > q.Max:
				t.Fatalf("a page of %d, want %d at most", len(page.Events), q.Max)
			}
			var ids []string
			for _, e := range page.Events {
				ids = append(ids, e.ID)
			}
			if q.Newest {
				got = append(ids, got...)
			} else {
				got = append(got, ids...)
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%+v gave\n%v, want\n%v", q, got, want)
		}
	})
}

// everySecond is n events, one a second.
func everySecond(n int) []float64 {
	seconds := make([]float64, n)
	for i := range seconds {
		seconds[i] = float64(i)
	}
	return seconds
}

func TestHistoryByTimeReadsLittle(t *testing.T) {
	const n = 100_000
	hub, log := recorded(t, keepAll(), everySecond(n))
	defer func() { _ = hub.Close() }()
	room := hub.Room("42")
	if _, err := room.Position(t.Context()); err != nil { // the room is open: what opened it is not counted
		t.Fatal(err)
	}
	for _, q := range []im.HistoryQuery{
		{From: at(71_000), To: at(71_200), Max: 50},
		{From: at(71_000), To: at(71_200), Max: 50, Newest: true},
	} {
		log.reads.Store(0)
		log.events.Store(0)
		page, err := room.History(t.Context(), q)
		if err != nil || len(page.Events) != 50 || !page.More {
			t.Fatalf("%d events, more %v, error %v", len(page.Events), page.More, err)
		}
		if reads, events := log.reads.Load(), log.events.Load(); reads > 20 || events > 200 {
			t.Errorf("%+v took %d reads of %d events", q, reads, events)
		}
		log.reads.Store(0)
		q.Before, q.After = page.Next, page.Next
		if q.Newest {
			q.After = im.Position{}
		} else {
			q.Before = im.Position{}
		}
		if page, err = room.History(t.Context(), q); err != nil || len(page.Events) != 50 {
			t.Fatalf("the second page has %d events, error %v", len(page.Events), err)
		}
		if reads := log.reads.Load(); reads > 3 {
			t.Errorf("the second page of %+v took %d reads", q, reads)
		}
	}
}

// A page of a rare kind may be empty, and says where to go on.
func TestHistoryOfARareKindIsBounded(t *testing.T) {
	seconds := everySecond(20_000)
	hub, log := recorded(t, keepAll(), seconds)
	defer func() { _ = hub.Close() }()
	room := hub.Room("42")
	if _, err := room.Send(t.Context(), im.Notice, "the end"); err != nil {
		t.Fatal(err)
	}
	q, calls, got := im.HistoryQuery{Kinds: []im.Kind{im.Notice}}, 0, 0
	for {
		log.events.Store(0)
		page, err := room.History(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		if n := log.events.Load(); n > 5000 {
			t.Fatalf("one call looked at %d events", n)
		}
		calls++
		got += len(page.Events)
		if !page.More {
			break
		}
		if page.Next.Seq <= q.After.Seq {
			t.Fatalf("it goes on from %v after %v", page.Next, q.After)
		}
		q.After = page.Next
	}
	if got != 1 || calls != 5 {
		t.Fatalf("%d notices in %d calls; want 1 in 5", got, calls)
	}
}

// Missed tells of what lies on the page, also if the page ends in the middle of what was read.
func TestHistoryMissedEndsWithThePage(t *testing.T) {
	hub, _ := recorded(t, &im.MemoryLogOptions{KeepEvents: 1000, KeepVolatile: 10}, everySecond(200))
	defer func() { _ = hub.Close() }()
	room := hub.Room("42")
	head, err := room.Position(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	missed, seen := 0, 0
	q := im.HistoryQuery{After: im.Position{Epoch: head.Epoch, Seq: 1}, Max: 7}
	for page, err := range room.Pages(t.Context(), q) {
		if err != nil {
			t.Fatal(err)
		}
		missed += page.Missed
		seen += len(page.Events)
	}
	hidden := 0
	for i := 1; i < 200; i++ {
		if i%50 != 7 && i%5 != 3 && i%11 == 10 {
			hidden++
		}
	}
	if missed+seen+hidden != 199 {
		t.Fatalf("%d missed, %d seen and %d hidden of 199", missed, seen, hidden)
	}
}

func TestHistoryRefuses(t *testing.T) {
	hub, _ := recorded(t, nil, everySecond(3))
	defer func() { _ = hub.Close() }()
	for _, tt := range []struct {
		q    im.HistoryQuery
		want error
	}{
		{im.HistoryQuery{Kinds: []im.Kind{"nonsense"}}, &im.Error{Code: im.CodeNotFound}},
		{im.HistoryQuery{From: at(2), To: at(2)}, &im.Error{Code: im.CodeBadRequest}},
		{im.HistoryQuery{After: im.Position{Epoch: "gone", Seq: 1}, From: at(1)}, im.ErrGap},
		{im.HistoryQuery{Before: im.Position{Epoch: "gone", Seq: 1}, To: at(1), Newest: true}, im.ErrGap},
	} {
		if _, err := hub.Room("42").History(t.Context(), tt.q); !errors.Is(err, tt.want) {
			t.Errorf("%+v: %v, want %v", tt.q, err, tt.want)
		}
	}
}

// The URL, the operation and the method say the same, and refuse the same.
func TestHistoryOverHTTP(t *testing.T) {
	hub, _ := recorded(t, keepAll(), everySecond(300))
	defer func() { _ = hub.Close() }()
	ask := func(query string) (int, string) {
		w := httptest.NewRecorder()
		hub.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/rooms/42/history"+query, nil))
		return w.Code, w.Body.String()
	}
	ms := func(s float64) string { return fmt.Sprint(at(s).UnixMilli()) }
	for _, tt := range []struct {
		query  string
		status int
		want   string // part of the answer
	}{
		{"?from=" + ms(100) + "&to=" + ms(103), 200, `"more":false,"events":[{"seq":101,`},
		{"?from=" + ms(100) + "&to=" + ms(200) + "&kinds=gift,notice", 200, `"more":false,"events":[{"seq":108,"id":"e107","kind":"gift"`},
		{"?kinds=gift&kinds=chat&max=1", 200, `"more":true,"next":7,"events":[{"seq":4,`},
		{"?newest=1&kinds=gift&max=1", 200, `"more":true,"next":209,"events":[{"seq":258,`},
		{"?from=soon", 400, `"bad_request"`},
		{"?from=-5", 400, `"bad_request"`},
		{"?to=9223372036854775807", 400, `milliseconds since 1970`},
		{"?from=2000&to=1000", 400, `\"from\" must be before \"to\"`},
		{"?kinds=" + strings.Repeat("a,", 40), 400, `at most 32`},
		{"?kinds=nonsense", 404, `"not_found"`},
		{"?after=gone.1", 404, `no longer kept`},
		{"?max=0", 400, `"bad_request"`},
	} {
		if status, body := ask(tt.query); status != tt.status || !strings.Contains(body, tt.want) {
			t.Errorf("%s: %d %.300s, want %d with %s", tt.query, status, body, tt.status, tt.want)
		}
	}
}

// Reading by time and kind needs the right to join, as all reading does.
func TestHistoryNeedsTheRightToJoin(t *testing.T) {
	admit := func(context.Context, *im.Session, string) error { return &im.Error{Code: im.CodeForbidden} }
	bubble(t, &im.Options{Admit: admit}, func(t *testing.T, hub *imtest.Hub) {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, "/rooms/42/history?from=1&kinds=chat", nil)
		r.Header.Set("Authorization", "Bearer ann")
		hub.ServeHTTP(w, r)
		if w.Code != http.StatusForbidden {
			t.Errorf("status %d: %s", w.Code, w.Body)
		}
	})
}
