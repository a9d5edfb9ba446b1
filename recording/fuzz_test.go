package recording

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/liveim/im"
)

// What is read from XML and written again reads the same.
func FuzzXML(f *testing.F) {
	for _, s := range []string{
		`<i><d p="1.8,1,25,16777215,1297068467,0,f03dc29a,77">前方高能</d></i>`,
		`<i><d p="0,5,18,0,0,0,0,0">a &lt; b &amp;&#10;c</d><e/></i>`,
		`<i><d p="1,2">x</d></i>`, `<!DOCTYPE i><i/>`, `<i><d p="1,1,25,1,1,0,u,7">a<b>c</b>d</d>`, ``, `<i>`, "<i>\x01</i>",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		const longest = 1 << 10
		r := newXMLReader(bytes.NewReader(data), longest)
		for {
			c, ok, err := r.next()
			if err != nil || !ok {
				return
			}
			if len(c.text) > 2*longest {
				t.Fatalf("a text of %d bytes", len(c.text))
			}
			if c.check() != nil {
				t.Fatalf("%+v is wrong, and was let through", c)
			}
			back := newXMLReader(strings.NewReader(`<i><d p="1,1,25,1,1,0,0,1">`+escape(c.text)+`</d></i>`), 1<<20)
			again, ok, err := back.next()
			if !ok || err != nil {
				t.Fatalf("%q is written as %q, which does not read: %v", c.text, escape(c.text), err)
			}
			if once := escape(again.text); once != escape(c.text) {
				t.Fatalf("%q reads as %q", c.text, again.text)
			}
		}
	})
}

// A line that is read is an event that is written as a line that reads the same.
func FuzzLines(f *testing.F) {
	for _, s := range []string{
		`{"epoch":"e1","seq":121,"id":"x","kind":"chat","at":1764000000000,"from":{"id":"u1","name":"Ann"},"n":4,"body":{"text":"hi"}}`,
		`{"t":1.8,"mode":1,"size":25,"color":16777215,"sent":1,"user":"u1","text":"前方高能"}`,
		`{"id":"x","kind":"danmaku","at":0,"body":"\u2028"}` + "\n\n{", "{}", "", `{"t":1e999}`, `{"t":-1,"text":"\ud800"}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r := newLineReader(bytes.NewReader(data), 1<<10)
		for {
			l, err := r.next()
			if err != nil || l == nil {
				return
			}
			if l.T != nil {
				c := l.comment()
				if c.check() != nil {
					continue
				}
				e, err := c.event(im.Danmaku, time.UnixMilli(0))
				if err != nil || !json.Valid(e.Body) {
					t.Fatalf("%+v became %v, %v", c, e, err)
				}
				if back, ok := commentOf(e); ok && back.text != strings.ToValidUTF8(c.text, "") {
					t.Fatalf("%q became %q", c.text, back.text)
				}
				continue
			}
			e := l.event()
			raw, err := json.Marshal(lineOf(e))
			if err != nil {
				t.Fatal(err)
			}
			again, err := newLineReader(bytes.NewReader(raw), 1<<20).next()
			if err != nil {
				t.Fatalf("%s: %v", raw, err)
			}
			other := again.event()
			if other.ID != e.ID || other.Kind != e.Kind || !other.At.Equal(e.At) || other.From.ID != e.From.ID || max(other.N, 1) != max(e.N, 1) {
				t.Fatalf("%+v became %+v", e, other)
			}
		}
	})
}
