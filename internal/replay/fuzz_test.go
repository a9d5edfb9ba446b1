package replay

import (
	"bytes"
	"io"
	"testing"
)

func FuzzReadJSONL(f *testing.F) {
	f.Add([]byte(`{"t":1.8,"sent":1,"mode":1,"size":25,"color":16777215,"user":"u1","text":"前方高能"}`))
	f.Add([]byte("{\"t\":1,\"text\":\"\\ud800\"}\n\n{\"t\":0.1,\"text\":\"b\"}"))
	fuzzReader(f, readJSONL)
}

func FuzzReadXML(f *testing.F) {
	f.Add([]byte(`<i><d p="1.8,1,25,16777215,1297068467,0,f03dc29a,77">前方高能</d></i>`))
	f.Add([]byte(`<i><x><d/></x><d p="2,5,18,255,1,0,ff,9,10">a &lt;<![CDATA[c]]><b>d</b></d></i>`))
	fuzzReader(f, readXML)
}

func fuzzReader(f *testing.F, read func(io.Reader, *Limits) ([]Item, error)) {
	limits := &Limits{Bytes: 1 << 16, Items: 50, Text: 100}
	f.Fuzz(func(t *testing.T, data []byte) {
		if items, err := read(bytes.NewReader(data), limits); err == nil {
			checkItems(t, items, limits)
		}
	})
}
