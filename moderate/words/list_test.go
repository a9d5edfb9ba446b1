package words

import (
	"strings"
	"sync"
	"testing"
)

func TestReadList(t *testing.T) {
	list, err := ReadList(strings.NewReader("\ufeff# adverts\n\n加微信\r\nass\tmask\tabuse\twhole  repeats\n\\#tag\thold\nx y\tallow\t\t\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := []Word{
		{Text: "加微信", Action: Block},
		{Text: "ass", Action: Mask, Label: "abuse", WholeWord: true, Repeats: true},
		{Text: "#tag", Action: Hold},
		{Text: "x y", Action: Allow},
	}
	if len(list) != len(want) {
		t.Fatalf("read %+v", list)
	}
	for i := range want {
		if list[i] != want[i] {
			t.Errorf("entry %d is %+v, want %+v", i, list[i], want[i])
		}
	}
}

func TestReadListErrors(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{"a\nb\tblok", `line 2: there is no action "blok"`},
		{"a\tnone", `line 1: there is no action "none"`},
		{"\n\na\tmask\tx\twhole,repeats", `line 3: there is no option "whole,repeats"`},
		{"a\tmask\tx\twhole\tmore", `line 1: it has 5 fields`},
		{"\u200b\u0301", `line 1: "\u200b́": it has no letter`},
		{"\tmask", `line 1: "": it has no letter`},
		{"a\n\xff", `line 2: it is not UTF-8`},
		{"a\n" + strings.Repeat("b", MaxLength+1), "line 2: "},
		{"a\n" + strings.Repeat("b", maxLine+1), "line 2: it is longer"},
	} {
		_, err := ReadList(strings.NewReader(test.in))
		if err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%.40q: %v, want %s", test.in, err, test.want)
		}
	}
}

func TestCompileErrors(t *testing.T) {
	for _, w := range []Word{
		{Text: "a"},
		{Text: "a", Action: Block + 1},
		{Text: " ", Action: Block},
		{Text: "\u3099a", Action: Block},
		{Text: strings.Repeat("微", MaxLength+1), Action: Block},
	} {
		_, err := Compile([]Word{{Text: "ok", Action: Mask}, w})
		if err == nil || !strings.HasPrefix(err.Error(), "word 1, ") {
			t.Errorf("%+v: %v, want an error that names it", w, err)
		}
	}
	if _, err := Compile([]Word{{Text: strings.Repeat("微", MaxLength), Action: Block}}); err != nil {
		t.Error(err)
	}
}

// A list is replaced while messages are checked: each sees the one list or the other.
func TestLive(t *testing.T) {
	var live Live
	if live.Check("a").Action != None {
		t.Error("the zero value finds something")
	}
	lists := [2]string{"spam\tmask\tfirst\nham\tmask\tfirst", "spam\tblock\tsecond"}
	if err := live.Load(strings.NewReader(lists[0])); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 500 {
				v := live.Check("so much spam")
				if label := v.Match.Word.Label; (v.Action == Mask) != (label == "first") || (v.Action == Block) != (label == "second") {
					t.Errorf("%v of the %s list", v.Action, label)
				}
			}
		})
	}
	for i := range 5 {
		if err := live.Load(strings.NewReader(lists[(i+1)%2])); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
	if err := live.Load(strings.NewReader("ham\nx\tnever")); err == nil {
		t.Error("a list with an error was loaded")
	}
	if live.Check("spam").Action != Block || live.Check("ham").Action != None {
		t.Error("after an error the list is another one")
	}
}
