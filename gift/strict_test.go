package gift

import (
	"bytes"
	"encoding/json"
	"testing"
)

func TestDecodeStrict(t *testing.T) {
	var text string
	var number int64
	fields := []field{{name: "text", text: &text, optional: true}, {name: "n", number: &number}}
	for _, body := range []string{`{"n":1}`, ` { "n" : 9007199254740991 } `, `{"text":"a","n":7}`, `{"n":7,"text":"\ud83d\ude00"}`} {
		if err := decodeStrict([]byte(body), fields...); err != nil {
			t.Errorf("%s: %v", body, err)
		}
	}
	for _, body := range []string{
		``, `null`, `{}`, `[]`, `1`, `"n"`, `{"n":1`, `{"n":1}}`, `{"n":1}{"n":1}`, `{"n":1},`, `{"n":1,}`, `{"n":01}`, `{"n":+1}`,
		`{"n":-1}`, `{"n":-0}`, `{"n":0}`, `{"n":1.0}`, `{"n":1.5}`, `{"n":1e3}`, `{"n":1E0}`, `{"n":"1"}`, `{"n":null}`, `{"n":true}`, `{"n":[1]}`,
		`{"n":{"n":1}}`, `{"n":9007199254740992}`, `{"n":9223372036854775808}`, `{"n":18446744073709551617}`, `{"n":0x1}`, `{"n":NaN}`,
		`{"n":1,"n":1}`, `{"n":1,"\u006e":1}`, `{"N":1}`, `{"n":1,"N":1}`, `{"n":1,"m":1}`, `{"n":1,"text":1}`, `{"n":1,"text":null}`,
		"{\"n\":1,\"text\":\"\xff\"}", "{\"n\":1,\"text\":\"a\nb\"}", `{'n':1}`, `{n:1}`, `{"n" 1}`, `{"n":1 "text":"a"}`,
	} {
		if err := decodeStrict([]byte(body), fields...); err == nil {
			t.Errorf("%s is taken", body)
		}
	}
}

// What is taken means the same to every reader of JSON.
func FuzzDecodeStrict(f *testing.F) {
	for _, s := range []string{`{"gift":"rose","count":3}`, `{"gift":"a","gift":"b"}`, `{"count":1e3,"gift":"a"}`, `{"gift":"\ud800","count":1}`, `{}`, ``} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		gift, count := "", int64(0)
		err := decodeStrict(body, field{name: "gift", text: &gift}, field{name: "count", number: &count, optional: true})
		if err != nil {
			return
		}
		var loose struct {
			Gift  string
			Count int64
		}
		if err := json.Unmarshal(body, &loose); err != nil || loose.Gift != gift || loose.Count != count {
			t.Fatalf("%q is %q and %d here, %+v (%v) elsewhere", body, gift, count, loose, err)
		}
		var members map[string]json.RawMessage
		if err := json.Unmarshal(body, &members); err != nil {
			t.Fatal(err)
		}
		for name, raw := range members {
			if name != "gift" && (name != "count" || count < 1 || count > MaxAmount || bytes.ContainsAny(raw, ".eE+-")) {
				t.Fatalf("%q was taken with %q: %s", body, name, raw)
			}
		}
		if n := bytes.Count(body, []byte(`:`)); len(members) == 1 && count != 0 || n < len(members) {
			t.Fatalf("%q has other members than were read", body)
		}
	})
}
