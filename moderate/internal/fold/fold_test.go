package fold

import (
	"testing"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// folded is what is left of a text: its letters.
func folded(t *Table, text string) string {
	var out []rune
	for _, r := range text {
		u, seq := t.Of(r)
		if seq == nil {
			seq = []Unit{u}
		}
		for _, u := range seq {
			if u.Kind() == Letter {
				out = append(out, u.Rune())
			}
		}
	}
	return string(out)
}

func TestLettersOfAText(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{"Hello, World!", "helloworld"},
		{"Ｆｕｌｌ　Ｗｉｄｔｈ１２", "fullwidth12"},
		{"𝐛𝐨𝐥𝐝 𝓼𝓬𝓻𝓲𝓹𝓽 𝕯", "boldscriptd"},
		{"ⓒⓘⓡⓒⓛⓔ 🅑🅞🅧 🄱🄾🅇 🇫🇱🇦🇬", "circleboxboxflag"},
		{"саrе Ηοst ᴄᴀᴘs ꓮꓐꓚ", "carehostcapsabc"},
		{"é e\u0301 Ệ ÿ̈̈", "eeey"},
		{"ﬁ ﬀ ß æ № ⑫ ㎏", "fiffssaeno12kg"},
		{"z\u200be\u200dr\u2060o\u00ad\ufeff\u202e", "zero"},
		{"ſtraſse Σς", "strasseoo"},
		{"加微信，微．信。⾦", "加微信微信金"},
		{"が か\u3099 ｶﾞ", "か\u3099か\u3099カ\u3099"},
		{"한 \u1112\u1161\u11ab", "\u1112\u1161\u11ab\u1112\u1161\u11ab"},
		{"กำลัง की", "กําลัง" + "की"},
		{"👍🏽❤️", ""},
		{"〇❶⑨٣", "0193"},
		{"\xff\u3164\u115f\u2800\U000E0041", ""},
	} {
		want := test.want
		if test.in == "กำลัง की" {
			want = norm.NFKD.String(want)
		}
		if got := folded(Get(), test.in); got != want {
			t.Errorf("%q is folded to %q (%+q), want %q", test.in, got, got, want)
		}
	}
}

// What one spells composed and another decomposed must meet.
func TestComposedMeetsDecomposed(t *testing.T) {
	table := Get()
	for r := range rune(unicode.MaxRune + 1) {
		if s := string(r); norm.NFD.String(s) != s {
			if _, alike := lookalikes()[r]; alike {
				continue
			}
			if got, want := folded(table, norm.NFD.String(s)), folded(table, s); got != want {
				t.Errorf("%q (%+q) is folded to %+q, decomposed to %+q", s, s, want, got)
			}
		}
	}
}

// The fold of a fold is itself, or words and texts would part.
func TestFoldOfAFold(t *testing.T) {
	table := Get()
	for r := range table.Changed() {
		once := folded(table, string(r))
		if twice := folded(table, once); twice != once {
			t.Errorf("%+q is folded to %+q, and that to %+q", r, once, twice)
		}
	}
}

func BenchmarkBuild(b *testing.B) {
	for b.Loop() {
		build()
	}
}
