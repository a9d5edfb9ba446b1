package im

import (
	"encoding/json"
	"testing"
)

var textBodies = []string{
	`"hello"`, `{"text":"hello"}`, `{"mode":1,"text":"你好","color":"#fff"}`, `{"text":"a\\nb"}`, `{"text":"a","text":"b"}`,
	`{"text":"a","Text":"b"}`, `{"TEXT":"b"}`, `{"text":5}`, `{"a":{"text":"x"},"text":"y"}`, `{"a":"}","text":"y"}`, `{}`, `[]`, `5`, `null`,
	`{"a":null,"text":"z"}`, `{"a":[1,2],"text":"z"}`, `{"te\\u0078t":"u"}`, `{"x":1}`, `{"text":""}`, `{"text":"q","x":{"text":"r"}}`,
}

// slowText is what plainText must agree with.
func slowText(body json.RawMessage) string {
	var b struct {
		Text string `json:"text"`
	}
	if json.Unmarshal(body, &b) != nil {
		return ""
	}
	return b.Text
}

func TestPlainTextAgreesWithJSON(t *testing.T) {
	for _, body := range textBodies {
		if got, ok := plainText([]byte(body)); ok && got != slowText(json.RawMessage(body)) {
			t.Errorf("%s: got %q, want %q", body, got, slowText(json.RawMessage(body)))
		}
	}
}

func FuzzPlainText(f *testing.F) {
	for _, body := range textBodies {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if !json.Valid(body) {
			return
		}
		if got, ok := plainText(body); ok && got != slowText(body) {
			t.Errorf("%s: got %q, want %q", body, got, slowText(body))
		}
	})
}

func BenchmarkTextOf(b *testing.B) {
	body := json.RawMessage(`{"text":"前方高能反应，非战斗人员请撤离","mode":1,"color":"#ffffff"}`)
	b.ReportAllocs()
	for range b.N {
		textOf(Danmaku, body)
	}
}
