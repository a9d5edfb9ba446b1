package longpoll_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/liveim/im/transport/longpoll"
)

// full is a discard that has all that a server's response writer has.
type full struct{ discard }

func (full) FlushError() error                { return nil }
func (full) SetReadDeadline(time.Time) error  { return nil }
func (full) SetWriteDeadline(time.Time) error { return nil }

// eager is a session that has something to send whenever there is room.
type eager struct {
	*session
	bufs [][]byte
}

func (e eager) Writable() {
	_, _ = e.conn.TrySend(e.bufs)
}

// What an answer allocates is its header, the list of what it is made of, and nothing for the wait.
func TestAnswersAllocateLittle(t *testing.T) {
	conn := longpoll.New(&longpoll.Options{Gather: time.Nanosecond})
	s := eager{&session{conn: conn, closed: make(chan error, 1)}, [][]byte{conn.Shared().Append(nil, []byte(`{"op":"events"}`))}}
	conn.Start(s)
	w, r := full{discard{http.Header{}}}, httptest.NewRequest(http.MethodGet, "/", nil)
	got := testing.AllocsPerRun(100, func() {
		_, _ = conn.TrySend(s.bufs) // comes up short: Writable is owed
		if err := conn.ServePoll(w, r, time.Minute); err != nil {
			t.Error(err)
		}
	})
	const most = 2
	if got > most {
		t.Errorf("an answer allocates %v times; want %d at most", got, most)
	}
	conn.Abort()
	<-s.closed
}

// chunks is a response writer that notes how the body was written.
type chunks struct {
	discard
	sizes *[]int
	body  *strings.Builder
}

func (c chunks) Write(b []byte) (int, error) {
	*c.sizes = append(*c.sizes, len(b))
	return c.body.Write(b)
}

// TestLargeAnswersAreWrittenInSheets has answers end at, before and behind the end of what is
// written at once.
func TestLargeAnswersAreWrittenInSheets(t *testing.T) {
	const sheet = 16 << 10
	for _, size := range []int{100, sheet - 1, sheet, sheet + 1, 2 * sheet, 3*sheet - 1} {
		conn := longpoll.New(&longpoll.Options{Gather: time.Nanosecond})
		message := `"` + strings.Repeat("x", size-len(`[""]`)) + `"`
		s := eager{&session{conn: conn, closed: make(chan error, 1)}, [][]byte{conn.Shared().Append(nil, []byte(message))}}
		conn.Start(s)
		_, _ = conn.TrySend(s.bufs)
		w := chunks{discard{http.Header{}}, new([]int), new(strings.Builder)}
		if err := conn.ServePoll(w, httptest.NewRequest(http.MethodGet, "/", nil), time.Minute); err != nil {
			t.Fatal(err)
		}
		var got []json.RawMessage
		if err := json.Unmarshal([]byte(w.body.String()), &got); err != nil || len(got) != 1 || string(got[0]) != message {
			t.Errorf("an answer of %d bytes became one of %d: %v", size, w.body.Len(), err)
		}
		if want := (size + sheet - 1) / sheet; len(*w.sizes) > want+1 {
			t.Errorf("an answer of %d bytes was written in pieces of %d", size, *w.sizes)
		}
		conn.Abort()
		<-s.closed
	}
}
