package longpoll

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestAnswersHoldWholeMessages sends messages in pieces of any size, and gets
// them back from arrays.
func TestAnswersHoldWholeMessages(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var want []string
		var stream []byte
		for i := range rapid.IntRange(0, 30).Draw(t, "messages") {
			msg := fmt.Sprintf(`{"n":%d,"pad":"%s"}`, i, strings.Repeat("x", rapid.IntRange(0, 60).Draw(t, "size")))
			want = append(want, msg)
			stream = Element{}.Append(stream, []byte(msg))
		}
		limit := rapid.IntRange(1, 200).Draw(t, "limit")
		var a answer
		var got []string
		for len(stream) > 0 {
			offered := stream[:rapid.IntRange(1, len(stream)).Draw(t, "offered")]
			var bufs [][]byte
			for rest := offered; len(rest) > 0; {
				cut := rapid.IntRange(0, len(rest)).Draw(t, "cut")
				bufs, rest = append(bufs, rest[:cut]), rest[cut:]
			}
			n := a.add(bufs, len(offered), limit)
			if n < len(offered) && a.whole == 0 {
				t.Fatalf("%d of %d bytes were taken, and no message", n, len(offered))
			}
			if a.whole > limit && len(messages(t, &a)) > 1 {
				t.Fatalf("%d bytes in an answer of more than one message, above %d", a.whole, limit)
			}
			stream = stream[n:]
			if n < len(offered) || rapid.Bool().Draw(t, "take") {
				got = append(got, taken(t, &a)...)
			}
		}
		got = append(got, taken(t, &a)...)
		if a.size != 0 || strings.Join(got, " ") != strings.Join(want, " ") {
			t.Fatalf("got %q, and %d bytes are left; want %q", got, a.size, want)
		}
	})
}

func taken(t *rapid.T, a *answer) []string {
	before := a.size
	got := messages(t, a)
	pieces, size := a.take()
	if rest := total(a.pieces); a.size != rest || rest+size != before || size > total(pieces) {
		t.Fatalf("took %d of %d bytes, and %d are left", size, before, rest)
	}
	return got
}

// messages decodes what a would be sent as.
func messages(t *rapid.T, a *answer) (got []string) {
	w := httptest.NewRecorder()
	if err := write(w, a.pieces, a.whole); err != nil {
		t.Fatal(err)
	}
	if length := w.Header().Get("Content-Length"); length != fmt.Sprint(w.Body.Len()) {
		t.Fatalf("Content-Length %s of %d bytes", length, w.Body.Len())
	}
	var raw []json.RawMessage
	if err := json.Unmarshal(w.Body.Bytes(), &raw); err != nil {
		t.Fatalf("%q: %v", w.Body, err)
	}
	for _, r := range raw {
		got = append(got, string(r))
	}
	return got
}

func total(bufs [][]byte) int { return len(bytes.Join(bufs, nil)) }

func TestElementIsOneLine(t *testing.T) {
	for message, want := range map[string]string{
		`{"a":1}`:       "{\"a\":1},\n",
		"{\n\"a\":1\n}": "{ \"a\":1 },\n",
	} {
		if got := (Element{}).Append([]byte("\n"), []byte(message)); string(got) != "\n"+want {
			t.Errorf("Append(%q) = %q, want %q", message, got, want)
		}
	}
}
