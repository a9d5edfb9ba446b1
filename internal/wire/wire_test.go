package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestParseRequests(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		ops      int    // 0: refused
		wantErr  string // a part of it
	}{
		{"one", `{"op":"ping","id":1}`, 1, ""},
		{"array", ` [{"op":"ping"},{"op":"join","room":"42"}]`, 2, ""},
		{"empty array", `[]`, 0, ""},
		{"unknown fields", `{"op":"ping","new":{"deep":[1]}}`, 1, ""},
		{"limit of operations", "[" + strings.Repeat(`{"op":"ping"},`, MaxOps-1) + `{"op":"ping"}]`, MaxOps, ""},
		{"A26: too many operations", "[" + strings.Repeat(`{"op":"ping"},`, 100_000) + `{"op":"ping"}]`, -1, "more than 64 requests"},
		{"limit of depth", `{"op":"x","body":` + strings.Repeat("[", MaxDepth-1) + strings.Repeat("]", MaxDepth-1) + `}`, 1, ""},
		{"A26: too deep", `{"op":"x","body":` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + `}`, -1, "deeper than 32"},
		{"brackets in strings do not nest", `{"op":"x","body":"` + strings.Repeat("[{", 100) + `\"]"}`, 1, ""},
		{"no op", `{"id":1}`, -1, `needs "op"`},
		{"op of another type", `{"op":5}`, -1, `"op" must not be a JSON number`},
		{"big id", `{"op":"ping","id":9007199254740992}`, -1, "below 2^53"},
		{"negative id", `{"op":"ping","id":-1}`, -1, `"id" must not be`},
		{"fraction", `{"op":"ping","id":1.5}`, -1, `"id" must not be`},
		{"negative max", `{"op":"history","max":-1}`, -1, "negative"},
		{"bare value", `"ping"`, -1, "want a JSON object"},
		{"nothing", ``, -1, "want a JSON object"},
		{"unfinished", `{"op":"ping"`, -1, "unexpected end"},
		{"trailing", `{"op":"ping"} x`, -1, "invalid character"},
		{"bad UTF-8", "{\"op\":\"\xff\"}", -1, "UTF-8"},
		{"array in array", `[[{"op":"ping"}]]`, -1, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			reqs, err := ParseRequests([]byte(tt.in))
			if tt.ops >= 0 {
				if err != nil || len(reqs) != tt.ops {
					t.Fatalf("got %d requests, error %v; want %d", len(reqs), err, tt.ops)
				}
				return
			}
			if !errors.Is(err, ErrSyntax) || !strings.Contains(err.Error(), tt.wantErr) {
				t.Fatalf("error %v; want ErrSyntax with %q", err, tt.wantErr)
			}
		})
	}
}

func TestRefusedRequestKeepsItsID(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want uint64
	}{
		{`{"op":"history","from":1.5,"id":7}`, 7},
		{`{"id":7,"op":"history","max":-1}`, 7},
		{`{"id":7}`, 7},
		{`{"op":"ping","id":9007199254740992}`, 0},
		{`{"op":"ping","id":7`, 0},
		{`[{"op":"history","from":1.5,"id":7}]`, 0},
	} {
		reqs, err := ParseRequests([]byte(tt.in))
		if err == nil {
			t.Fatalf("%s was taken", tt.in)
		}
		var id uint64
		if len(reqs) > 0 {
			id = reqs[0].ID
		}
		if id != tt.want {
			t.Errorf("%s: the refusal names %d, want %d", tt.in, id, tt.want)
		}
	}
}

func TestParseRequestsKeepsNothingOfTheInput(t *testing.T) {
	in := []byte(`{"op":"send","room":"42","body":{"a":1}}`)
	reqs, err := ParseRequests(in)
	if err != nil {
		t.Fatal(err)
	}
	for i := range in {
		in[i] = 'x'
	}
	if reqs[0].Room != "42" || string(reqs[0].Body) != `{"a":1}` {
		t.Fatalf("the request changed with the buffer it came in: %+v", reqs[0])
	}
}

func TestBodiesHaveNoLineBreaks(t *testing.T) {
	reqs, err := ParseRequests([]byte("{\"op\":\"send\",\"body\":{\n\"a\":\r\n \"x\\ny\"}}"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(reqs[0].Body), `{"a":"x\ny"}`; got != want {
		t.Fatalf("body %q, want %q", got, want)
	}
}

// Every message that is appended by hand must decode to what went in.
func TestAppendedMessagesDecode(t *testing.T) {
	const room = "r\"\\\n\u2028\x00房间\xff"
	const roomDecoded = "r\"\\\n\u2028\x00房间\ufffd"
	ev := Event{Seq: 7, ID: "id", Kind: "chat", At: 12, From: &Author{ID: "u", Name: "n"}, Body: json.RawMessage(`{"text":"hi"}`)}
	raw := [][]byte{AppendEvent(nil, &ev), AppendEvent(nil, &Event{Seq: 8, ID: "j", Kind: "notice"})}
	for _, tt := range []struct {
		name string
		msg  []byte
		want func(m *Message) bool
	}{
		{"events", AppendEvents(nil, room, 5, 8, raw), func(m *Message) bool {
			return m.Prev == 5 && m.To == 8 && len(m.Events) == 2 && m.Events[0].From.Name == "n" && string(m.Events[0].Body) == `{"text":"hi"}` && m.Events[1].From == nil
		}},
		{"gap", AppendGap(nil, room, 7, 3, 9), func(m *Message) bool { return m.Missed == 3 && m.Prev == 7 && m.To == 9 }},
		{"online", AppendOnline(nil, room, 3, nil, nil), func(m *Message) bool { return m.Count == 3 && m.Joined == nil }},
		{"online", AppendOnline(nil, room, 3, &Arrivals{Names: []string{"Ann", "\"\\<\u2028\xff"}, N: 9}, nil), func(m *Message) bool {
			return m.Joined.N == 9 && slices.Equal(m.Joined.Names, []string{"Ann", "\"\\<\u2028\ufffd"})
		}},
		{"online", AppendOnline(nil, room, 3, nil, json.RawMessage(`{"presence":{"v":1}}`)), func(m *Message) bool {
			return m.Joined == nil && len(m.Told) == 1 && string(m.Told["presence"]) == `{"v":1}`
		}},
		{"joined", AppendEntry(nil, &Entry{OpJoined, 4, room, Position{"e", 8}, true, 2, json.RawMessage(`{"k":{"value":1,"version":3}}`), 6, json.RawMessage(`{"presence":{"v":1}}`), AppendTail(nil, raw)}), func(m *Message) bool {
			return string(m.Told["presence"]) == `{"v":1}` && m.ID == 4 && m.Epoch == "e" && m.Seq == 8 && m.Recovered && m.Missed == 2 && m.State["k"].Version == 3 && m.Online == 6 && len(m.Events) == 2
		}},
		{"history", AppendHistory(nil, &History{5, room, "e", 1, true, 9, bytes.Join(raw, []byte(","))}), func(m *Message) bool {
			return m.ID == 5 && m.Epoch == "e" && m.More && m.Missed == 1 && m.Next == 9 && len(m.Events) == 2
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var m Message
			if err := json.Unmarshal(tt.msg, &m); err != nil {
				t.Fatalf("%v in %s", err, tt.msg)
			}
			if m.Op != tt.name || m.Room != roomDecoded || !tt.want(&m) {
				t.Fatalf("%s decodes to %+v", tt.msg, m)
			}
		})
	}
	var ack Message
	if err := json.Unmarshal(AppendAck(nil, 3, StatusOK, "e1", json.RawMessage(`5`)), &ack); err != nil {
		t.Fatal(err)
	}
	if ack.ID != 3 || ack.Status != "ok" || ack.Event != "e1" || string(ack.Body) != "5" {
		t.Fatalf("ack decodes to %+v", ack)
	}
}

// A17: one log line, one SSE field: nothing that ends a line leaves as it is.
func TestA17NoLineBreaksInStrings(t *testing.T) {
	for r := rune(0); r < 0x3000; r++ {
		got := AppendString(nil, "a"+string(r)+"b")
		var back string
		if err := json.Unmarshal(got, &back); err != nil || back != "a"+string(r)+"b" {
			t.Fatalf("U+%04X: %s decodes to %q, %v", r, got, back, err)
		}
		if r < ' ' || r == 0x7f || r == 0x2028 || r == 0x2029 {
			if strings.ContainsRune(string(got), r) {
				t.Fatalf("U+%04X is written as it is", r)
			}
		}
	}
}

func FuzzParseRequests(f *testing.F) {
	f.Add([]byte(`{"op":"send","id":1,"room":"42","kind":"chat","cid":"c","body":{"text":"hi"}}`))
	f.Add([]byte(`[{"op":"join","room":"42","since":{"epoch":"e","seq":3}},{"op":"ping"}]`))
	f.Add([]byte("{\"op\":\"x\",\"body\":[\n1]}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		reqs, err := ParseRequests(data)
		if err != nil {
			if !errors.Is(err, ErrSyntax) {
				t.Fatalf("error %v does not wrap ErrSyntax", err)
			}
			return
		}
		if len(reqs) > MaxOps {
			t.Fatalf("%d requests", len(reqs))
		}
		for _, r := range reqs {
			if r.Op == "" || len(r.Body) > 0 && !json.Valid(r.Body) {
				t.Fatalf("accepted %+v", r)
			}
			if strings.ContainsAny(string(r.Body), "\r\n") {
				t.Fatalf("line break in body %q", r.Body)
			}
		}
	})
}

func BenchmarkParseRequests(b *testing.B) {
	msg := []byte(`{"op":"send","id":12,"room":"42","kind":"danmaku","cid":"c-1234","body":{"text":"前方高能","color":16777215}}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseRequests(msg); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendEvents(b *testing.B) {
	ev := Event{Seq: 7, ID: "AbCdEfGhIjKlMnOp", Kind: "danmaku", At: 1764000000000, From: &Author{ID: "u1", Name: "小明"}, Body: json.RawMessage(`{"text":"前方高能","color":16777215}`)}
	b.Run("append", func(b *testing.B) {
		var buf, msg []byte
		b.ReportAllocs()
		for b.Loop() {
			buf = AppendEvent(buf[:0], &ev)
			msg = AppendEvents(msg[:0], "42", 6, 7, [][]byte{buf})
		}
	})
	b.Run("baseline=encoding/json", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := json.Marshal(&Message{Op: OpEvents, Room: "42", Prev: 6, To: 7, Events: []Event{ev}}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
