package words

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/clipperhouse/uax29/v2/graphemes"
)

func FuzzFind(f *testing.F) {
	filter := compile(f, bigList(500)...)
	small := compile(f,
		Word{Text: "加微信", Action: Block},
		Word{Text: "ass", Action: Mask, WholeWord: true, Repeats: true},
		Word{Text: "fool", Action: Mask, Repeats: true},
		Word{Text: "idiot", Action: Hold},
		Word{Text: "t.me", Action: Block},
		Word{Text: "ばか", Action: Mask},
		Word{Text: "각", Action: Mask},
		Word{Text: "加微信号", Action: Allow},
	)
	for _, s := range []string{"加。微\u200b信 号", "a$$ f00oooI", "ﬁﬀ⒤dⓘot", "\xff\xf0\x9f加", "ﾊﾞｶ각\u1100\u1161\u11a8", "🇫ööl t . m\u0301e"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, filter := range []*Filter{filter, small} {
			checkSpans(t, filter, text)
		}
	})
}

// checkSpans checks what holds for any filter and message.
func checkSpans(t *testing.T, f *Filter, text string) {
	borders := map[int]bool{len(text): true}
	for i := 0; i < len(text); {
		borders[i] = true
		_, size := utf8.DecodeRuneInString(text[i:])
		i += size
	}
	all := f.Find(nil, text)
	last := 0
	for _, m := range all {
		if m.Start < last || m.End <= m.Start || !borders[m.Start] || !borders[m.End] {
			t.Fatalf("match %d to %d in %q", m.Start, m.End, text)
		}
		last = m.Start
		if m.Word.Action < Mask {
			t.Fatalf("%v is told as a match", m.Word)
		}
	}
	if (f.Check(text).Action == None) != (len(all) == 0) {
		t.Fatalf("Check and Find do not agree on %q", text)
	}
	checkMask(t, f.Mask(text), text, all)
}

// checkMask checks that what is outside of the matches is as it was.
func checkMask(t *testing.T, masked, text string, all []Match) {
	var want strings.Builder
	for pos := 0; pos < len(text); {
		end := pos
		for _, m := range all {
			if m.Start == pos || m.Start < end && m.Start > pos {
				end = max(end, m.End)
			}
		}
		if end == pos {
			want.WriteByte(text[pos])
			pos++
			continue
		}
		for g := graphemes.FromString(text[pos:end]); g.Next(); {
			want.WriteByte('*')
		}
		pos = end
	}
	if masked != want.String() {
		t.Fatalf("%q is masked as %q, want %q", text, masked, want.String())
	}
}

// skippables is what may stand between the letters of any word.
var skippables = []rune(" .,-*_~·。、！？…　\t\n\u200b\u200c\u200d\u2060\ufeff\u00ad\u202e\u2066\u0301\u0336\u20dd\ufe0f★♥😀👍🏽\u3164\u2800\U000E0061")

func FuzzSkipped(f *testing.F) {
	filter := compile(f,
		Word{Text: "加微信", Action: Block},
		Word{Text: "spammer", Action: Block},
		Word{Text: "fool", Action: Block, Repeats: true},
	)
	f.Add("前", "后", []byte{1, 2, 3, 4, 5, 6})
	f.Add("\u3099", "!", []byte{250, 0, 0, 9, 17})
	f.Fuzz(func(t *testing.T, before, after string, choice []byte) {
		for _, w := range []string{"加微信", "spammer", "fool"} {
			// A break, since the message around may end the match otherwise: with a mark of kana, for example.
			text := before + "\n" + weave(w, choice) + "\n" + after
			ok := false
			for _, m := range filter.Find(nil, text) {
				ok = ok || m.Word.Text == w && m.Start <= len(before)+1 && m.End >= len(before)+1
			}
			if !ok {
				t.Fatalf("%s is not found in %q", w, text)
			}
		}
	})
}

// weave puts skippable runes between those of a word.
func weave(word string, choice []byte) string {
	var b strings.Builder
	i := 0
	for _, r := range word {
		for n := 0; b.Len() > 0 && i < len(choice) && n < int(choice[i])%4; n++ {
			b.WriteRune(skippables[(int(choice[i])+n*7)%len(skippables)])
			i++
		}
		i++
		b.WriteRune(r)
	}
	return b.String()
}
