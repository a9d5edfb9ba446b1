package wire

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
)

var quickRequests = []string{
	`{"op":"join","id":1,"room":"42"}`,
	` { "op" : "send" , "id" : 12 , "room" : "房间" , "kind" : "danmaku" , "cid" : "c-1" , "body" : { "text" : "a \"b\" , }" , "n" : [1 , 2] } } `,
	`{"op":"join","room":"42","tier":"reduced","since":{"epoch":"e","seq":17}}`,
	`{"op":"join","room":"42","since":{"seq":17}}`,
	`{"op":"ping"}`,
	`{"op":"like","body":5}`,
	`{"op":"like","body":"text"}`,
	`{}`,
}

var slowRequests = []string{
	`{"op":"join","OP":"leave"}`, `{"Op":"join"}`, `{"op":"join","op":"leave"}`, `{"op":"join","new":1}`,
	`{"op":"\u006aoin"}`, `{"op":null}`, `{"op":"send","body":null}`, `{"op":"x","id":1.0}`, `{"op":"x","id":1e3}`, `{"op":"x","id":-1}`,
	`{"op":"x","id":01}`, `{"op":"x","id":9007199254740993}`, `{"op":"x","body":{]}`, `{"op":"x","body":01}`, `{"op":"x","body":}`,
	`{"op":"x",}`, `{"op":"x"}}`, `{"op":"x"} {}`, `{,}`, `{"op"}`, `{"op":}`, `{"op":"x"`, `{"op":"x`, `{"op":"x","since":null}`,
	`{"op":"x","since":{"epoch":"a"},"since":{"seq":1}}`, `{"op":"x","since":{"seq":1,"seq":2}}`, "{\"op\":\"a\tb\"}", `{"op":"x","body":[1,}`, `{"op":"x" "id":1}`,
	`{"op":"x","id":1"room":"42"}`, `{"op":"x","body":"a"1}`, `{"op":"x","body":{}{}}`, `[{"op":"x"}]`, `{"op":"hello","token":"t"}`,
}

// sameRequest checks that readQuickly, if it reads a request at all, reads what encoding/json reads.
func sameRequest(t *testing.T, text string) (read bool) {
	t.Helper()
	var got, want Request
	data := []byte(text)
	if !readQuickly(data, &got) {
		return false
	}
	if err := json.Unmarshal([]byte(text), &want); err != nil {
		t.Fatalf("%q was read, but %v", text, err)
	}
	clear(data) // it keeps nothing of it
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%q\ngot  %+v\nwant %+v", text, got, want)
	}
	return true
}

func TestQuickReadsWhatJSONReads(t *testing.T) {
	for _, text := range quickRequests {
		if !sameRequest(t, text) {
			t.Errorf("%s is not read quickly", text)
		}
	}
	for _, text := range slowRequests {
		if sameRequest(t, text) {
			t.Errorf("%s was read quickly", text)
		}
	}
}

func FuzzQuick(f *testing.F) {
	for _, text := range slices.Concat(quickRequests, slowRequests) {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := scan([]byte(text)); err == nil {
			sameRequest(t, text)
		}
	})
}

func BenchmarkQuick(b *testing.B) {
	for name, text := range map[string]string{
		"join":    `{"op":"join","id":1,"room":"42"}`,
		"danmaku": `{"op":"send","id":1,"room":"42","kind":"danmaku","cid":"c-1","body":{"text":"` + strings.Repeat("弹幕 ", 10) + `"}}`,
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ParseRequests([]byte(text)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
