package im

import (
	"encoding/json"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/liveim/im/internal/danmaku"
)

// TestCalmLatency measures all that flow control does with a danmaku in a calm room,
// from the body to the verdict: what it adds to the way of the message.
func TestCalmLatency(t *testing.T) {
	const n, most = 5000, 50 * time.Microsecond
	nobody := func(*http.Request) (User, error) { return User{}, ErrNoCredentials }
	h, err := New(nobody, &Options{Flow: Flow{Budget: maxBudget}, Pressure: func() float64 { return 0 }})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = h.Close() }()
	c, err := h.core(t.Context(), "42")
	if err != nil {
		t.Fatal(err)
	}
	defer c.release()
	body := json.RawMessage(`{"text":"前方高能反应，非战斗人员请撤离","mode":1,"color":"#ffffff"}`)
	d := &Draft{id: "event"}
	u := &User{ID: "ann"}
	times := make([]time.Duration, 0, n)
	for range n {
		begin := time.Now()
		cand := h.candidate(u, Danmaku, body)
		a, _ := c.offer(&cand, func() *Draft { return d })
		times = append(times, time.Since(begin))
		if a.Verdict != danmaku.Pass {
			t.Fatalf("the room is not calm: verdict %d", a.Verdict)
		}
	}
	slices.Sort(times)
	t.Logf("median %v, p99 %v, p99.9 %v", times[n/2], times[n*99/100], times[n*999/1000])
	if p99 := times[n*99/100]; p99 > most {
		t.Errorf("p99 is %v, want at most %v", p99, most)
	}
}
