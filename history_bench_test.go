package im_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/liveim/im"
)

// BenchmarkHistoryPage reads pages of 100 events of a room: from the library, by the handler alone, and over a
// kept-alive connection.
func BenchmarkHistoryPage(b *testing.B) {
	log, err := im.NewMemoryLog(&im.MemoryLogOptions{KeepVolatile: 10_000})
	if err != nil {
		b.Fatal(err)
	}
	hub, err := im.New(func(*http.Request) (im.User, error) { return im.User{ID: "ann"}, nil },
		&im.Options{Log: log, Limits: im.Limits{Requests: im.Unlimited, Address: im.Unlimited}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = hub.Close() })
	room := hub.Room("42")
	for i := range 2000 {
		body := map[string]any{"text": fmt.Sprintf("前方高能 %d", i), "color": "#ff9a3c"}
		if _, err := room.Send(b.Context(), im.Danmaku, body, im.AsUser(im.User{ID: fmt.Sprintf("u%d", i%97), Name: "Somebody"})); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("Go", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			page, err := room.History(b.Context(), im.HistoryQuery{Newest: true, Max: 100})
			if err != nil || len(page.Events) != 100 {
				b.Fatalf("%d events, %v", len(page.Events), err)
			}
		}
	})
	b.Run("handler", func(b *testing.B) {
		b.ReportAllocs()
		w := &nowhere{header: http.Header{}}
		r := httptest.NewRequest(http.MethodGet, "/rooms/42/history?newest=1&max=100", nil)
		for b.Loop() {
			clear(w.header)
			hub.ServeHTTP(w, r)
		}
		b.ReportMetric(float64(w.n)/float64(b.N), "bytes/page")
	})
	b.Run("HTTP", func(b *testing.B) {
		b.ReportAllocs()
		srv := httptest.NewServer(hub)
		defer srv.Close()
		for b.Loop() {
			resp, err := srv.Client().Get(srv.URL + "/rooms/42/history?newest=1&max=100")
			if err != nil {
				b.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
				b.Fatalf("%s, %v", resp.Status, err)
			}
			_ = resp.Body.Close()
		}
	})
}

// nowhere is a ResponseWriter that counts.
type nowhere struct {
	header http.Header
	n      int
}

func (w *nowhere) Header() http.Header { return w.header }
func (w *nowhere) WriteHeader(int)     {}
func (w *nowhere) Write(p []byte) (int, error) {
	w.n += len(p)
	return len(p), nil
}
