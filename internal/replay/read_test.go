package replay

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf8"
)

func TestRead(t *testing.T) {
	hello := Item{At: 1800 * time.Millisecond, Mode: 1, Size: 25, Color: 0xffffff, User: "u1", Text: "你好"}
	tests := map[string]struct {
		in   string
		want []Item
	}{
		"json lines": {
			`{"t":1.8,"sent":1297068467,"mode":1,"size":25,"color":16777215,"user":"u1","text":"你好","later":[1]}` + "\n",
			[]Item{hello},
		},
		"json lines with a mark, blank lines and no last line break": {
			"\ufeff\n\r\n  \n" + `{"t":1.8,"user":"u1","text":"你好"}`,
			[]Item{hello},
		},
		"black is a colour": {
			`{"t":0,"color":0,"text":"x"}`,
			[]Item{{Mode: 1, Size: 25, Text: "x"}},
		},
		"sorted, in order within a moment": {
			`{"t":2,"text":"c"}` + "\n" + `{"t":1,"text":"a"}` + "\n" + `{"t":1,"text":"b"}`,
			[]Item{
				{time.Second, 1, 25, 0xffffff, "", "a"},
				{time.Second, 1, 25, 0xffffff, "", "b"},
				{2 * time.Second, 1, 25, 0xffffff, "", "c"},
			},
		},
		"entries without text": {
			`{"t":0,"text":" "}` + "\n" + `{"t":1.8,"user":"u1","text":"你好"}`,
			[]Item{hello},
		},
		"xml of 8 fields": {
			`<?xml version="1.0" encoding="UTF-8"?><i><chatid>1</chatid><source>k-v</source>` +
				`<d p="1.8,1,25,16777215,1297068467,0,u1,77">你好</d></i>`,
			[]Item{hello},
		},
		"xml of 9 fields with entities and control characters": {
			"\n<i>\n<d p=\"2,5,18,255,1,0,ff,9,10\">a &lt;b&gt; \x08&amp; <![CDATA[c]]></d><d p='1.8,1,25,16777215,1,0,u1,7' x='y'>你好</d>\n</i>\n",
			[]Item{hello, {2 * time.Second, 5, 18, 255, "ff", "a <b> & c"}},
		},
		"a colour of too many bits": {
			`<i><d p="0,1,25,33554431,1,0,u,1">x</d></i>`,
			[]Item{{0, 1, 25, 0xffffff, "u", "x"}},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := Read(iotest.OneByteReader(strings.NewReader(tt.in)), nil)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got  %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

func TestReadErrors(t *testing.T) {
	long := strings.Repeat("x", 40)
	limits := &Limits{Bytes: 60_000, Items: 2, Text: 20}
	tests := map[string]struct{ in, want string }{
		"nothing":             {" \n", "no comments"},
		"neither format":      {"t,mode,size", `starts with "t"`},
		"no comment":          {"<i></i>", "no comments"},
		"broken json":         {`{"t":1,"text":"a"}` + "\n\n{\"t\":", "line 3: "},
		"two values a line":   {`{"t":1,"text":"a"} {}`, "line 1: "},
		"no time":             {`{"text":"a"}`, `line 1: no "t"`},
		"time of a word":      {`{"t":"1","text":"a"}`, "line 1: "},
		"negative time":       {`{"t":-1,"text":"a"}`, "line 1: time -1: want seconds"},
		"time of a date":      {`{"t":1297068467,"text":"a"}`, "line 1: time 1.297068467e+09"},
		"long text":           {`{"t":1,"text":"` + long + `"}`, "line 1: a text of 40 bytes: at most 20"},
		"long user":           {`{"t":1,"text":"a","user":"` + strings.Repeat("u", 129) + `"}`, "line 1: a user name of 129"},
		"long line":           {`{"t":1,"text":"a","x":"` + strings.Repeat("x", 9000) + `"}`, "line 1: longer than"},
		"many items":          {strings.Repeat(`{"t":1,"text":"a"}`+"\n", 3), "line 3: more than 2 comments"},
		"long json recording": {strings.Repeat("\n", 2) + `{"t":1,"text":"a"}` + strings.Repeat("\n", 70_000), "longer than 60000 bytes"},
		"long xml recording":  {"<i>" + strings.Repeat(" ", 70_000), "longer than 60000 bytes"},
		"another document":    {"<html></html>", "line 1: the document is a <html>"},
		"cut off":             {"<i>\n<d p=\"1,1,25,1,1,0,u,1\">a", "line 2: unexpected EOF"},
		"few fields":          {"<i>\n<d p=\"1,1,25\">a</d></i>", `line 2: p="1,1,25" has 3 fields`},
		"no fields":           {"<i><d>a</d></i>", `p="" has 1 fields`},
		"odd time":            {`<i><d p="NaN,1,25,1,1,0,u,1">a</d></i>`, "line 1: time NaN"},
		"odd mode":            {`<i><d p="1,x,25,1,1,0,u,1">a</d></i>`, `the mode "x" is no number`},
		"undefined entity":    {"<i>\n\n<d p=\"1,1,25,1,1,0,u,1\">&boom;</d></i>", "line 3"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			items, err := Read(strings.NewReader(tt.in), limits)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %d items and error %v, want an error with %q", len(items), err, tt.want)
			}
		})
	}
}

func TestReadFails(t *testing.T) {
	broken := errors.New("the disk is gone")
	if _, err := Read(iotest.ErrReader(broken), nil); !errors.Is(err, broken) {
		t.Errorf("got %v, want the reader's error", err)
	}
}

func TestLimitIsExact(t *testing.T) {
	in := `{"t":1,"text":"a"}`
	if _, err := Read(strings.NewReader(in), &Limits{Bytes: int64(len(in))}); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	if _, err := Read(strings.NewReader(in), &Limits{Bytes: int64(len(in)) - 1}); err == nil {
		t.Error("a byte over the limit: no error")
	}
}

func TestFind(t *testing.T) {
	root := t.TempDir()
	module := filepath.Join(root, "module")
	deep := filepath.Join(module, "a", "b")
	data := filepath.Join(root, "shared", "data")
	for _, dir := range []string{deep, data} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write := func(name string) string {
		t.Helper()
		if err := os.WriteFile(name, []byte(`{"t":1,"text":"a"}`), 0o644); err != nil {
			t.Fatal(err)
		}
		return name
	}
	find := func() []string {
		t.Helper()
		found, err := Find()
		if err != nil {
			t.Fatal(err)
		}
		return found
	}

	t.Setenv(Env, "")
	t.Chdir(deep)
	if found := find(); found != nil {
		t.Errorf("without a module: found %q", found)
	}
	write(filepath.Join(module, "go.mod"))
	if found := find(); found != nil {
		t.Errorf("without recordings: found %q", found)
	}
	write(filepath.Join(data, "README"))
	want := []string{write(filepath.Join(data, "a.jsonl")), write(filepath.Join(data, "b.XML"))}
	if found := find(); !slices.Equal(found, want) {
		t.Errorf("found %q, want %q", found, want)
	}

	file := write(filepath.Join(root, "mine.txt"))
	t.Setenv(Env, file)
	if found := find(); !slices.Equal(found, []string{file}) {
		t.Errorf("found %q, want the file of the environment", found)
	}
	for name, value := range map[string]string{"missing": filepath.Join(root, "none"), "no recordings": module} {
		t.Setenv(Env, value)
		if found, err := Find(); err == nil {
			t.Errorf("%s: found %q, want an error", name, found)
		}
	}
}

func TestRecordingsOfThisMachine(t *testing.T) {
	found, err := Find()
	if err != nil {
		t.Fatal(err)
	}
	if found == nil {
		t.Skip("no recordings here")
	}
	for _, name := range found {
		items, err := ReadFile(name, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %d comments in %v", filepath.Base(name), len(items), Length(items, 1))
		checkItems(t, items, nil)
	}
}

// checkItems verifies what readers and the generator promise.
func checkItems(t *testing.T, items []Item, limits *Limits) {
	t.Helper()
	max := limits.withDefaults()
	if len(items) == 0 || len(items) > max.Items {
		t.Fatalf("%d items, want 1 to %d", len(items), max.Items)
	}
	for i, it := range items {
		switch {
		case i > 0 && it.At < items[i-1].At, it.At < 0, it.At > maxAt:
			t.Fatalf("item %d at %v is out of order", i, it.At)
		case strings.TrimSpace(it.Text) == "", len(it.Text) > max.Text, !utf8.ValidString(it.Text):
			t.Fatalf("item %d: text %q", i, it.Text)
		case it.Color < 0, it.Color > 0xffffff:
			t.Fatalf("item %d: colour %x", i, it.Color)
		case !utf8.ValidString(it.User), len(it.User) > 128:
			t.Fatalf("item %d: user %q", i, it.User)
		}
	}
}
