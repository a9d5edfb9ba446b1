package words

import (
	"slices"
	"testing"
)

func compile(t testing.TB, list ...Word) *Filter {
	t.Helper()
	f, err := Compile(list)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// found is what Find reports, as text.
func found(f *Filter, text string) []string {
	var out []string
	for _, m := range f.Find(nil, text) {
		out = append(out, text[m.Start:m.End])
	}
	return out
}

// Each way round the filter that was seen in the wild or that somebody thought of.
func TestEvasions(t *testing.T) {
	f := compile(t,
		Word{Text: "加微信", Action: Block},
		Word{Text: "jwx", Action: Block, WholeWord: true}, // the initials of it
		Word{Text: "spammer", Action: Mask},
		Word{Text: "idiot", Action: Mask, WholeWord: true},
		Word{Text: "fool", Action: Mask, Repeats: true},
		Word{Text: "ass", Action: Mask, WholeWord: true, Repeats: true},
		Word{Text: "t.me", Action: Block},
		Word{Text: "café", Action: Hold},
		Word{Text: "сука", Action: Hold},
		Word{Text: "ばか", Action: Mask},
		Word{Text: "바보", Action: Mask},
		Word{Text: "qq12340", Action: Block},
		Word{Text: "νόμος", Action: Hold},
		Word{Text: "加威信", Action: Block},
		Word{Text: "free gift", Action: Block, WholeWord: true},
	)
	for _, test := range []struct{ way, text, want string }{
		{"as listed", "请加微信聊", "加微信"},
		{"full width", "ｓｐａｍｍｅｒ!", "ｓｐａｍｍｅｒ"},
		{"half width", "ﾊﾞｶ ばか", "ばか"},
		{"case", "SpAmMeR", "SpAmMeR"},
		{"zero width", "加\u200b微\u200d\ufeff信", "加\u200b微\u200d\ufeff信"},
		{"soft hyphen", "spam\u00admer", "spam\u00admer"},
		{"direction", "spam\u202e\u2066mer", "spam\u202e\u2066mer"},
		{"Hangul filler", "加\u3164微\uffa0信", "加\u3164微\uffa0信"},
		{"braille blank", "加\u2800微信", "加\u2800微信"},
		{"tags", "spa\U000E0061mmer", "spa\U000E0061mmer"},
		{"variation selector", "加\ufe0f微\U000E0100信", "加\ufe0f微\U000E0100信"},
		{"marks", "s\u0336p\u0336a\u0336m\u0336m\u0336e\u0336r\u0336!", "s\u0336p\u0336a\u0336m\u0336m\u0336e\u0336r\u0336"},
		{"marks on ideographs", "加\u0301微\u20dd信\u0489", "加\u0301微\u20dd信\u0489"},
		{"spacing", "加 微　信", "加 微　信"},
		{"spacing of a whole word", "you i d i o t !", "i d i o t"},
		{"line breaks", "加\n微\r\n信", "加\n微\r\n信"},
		{"punctuation", "加,微.信", "加,微.信"},
		{"wide punctuation", "加。微、、信", "加。微、、信"},
		{"stars", "s*p*a*m*m*e*r", "s*p*a*m*m*e*r"},
		{"symbols", "加★微♥信", "加★微♥信"},
		{"emoji", "加😀微👍🏽信", "加😀微👍🏽信"},
		{"punctuation that may be a letter", "spam!mer spam$mer", "spam!mer|spam$mer"},
		{"symbols that may be letters between ideographs", "加@微$$信", "加@微$$信"},
		{"within a whole word", "id-iot", "id-iot"},
		{"Cyrillic", "ѕраmmеr", "ѕраmmеr"},
		{"Greek", "ιdiοτ", "ιdiοτ"},
		{"small capitals", "sᴘᴀᴍᴍᴇʀ", "sᴘᴀᴍᴍᴇʀ"},
		{"mathematical", "𝓼𝓹𝓪𝓶𝓶𝓮𝓻 𝐢𝐝𝐢𝐨𝐭", "𝓼𝓹𝓪𝓶𝓶𝓮𝓻|𝐢𝐝𝐢𝐨𝐭"},
		{"circles", "ⓢⓟⓐⓜⓜⓔⓡ", "ⓢⓟⓐⓜⓜⓔⓡ"},
		{"black squares", "🅸🅳🅸🅾🆃", "🅸🅳🅸🅾🆃"},
		{"flags", "🇮🇩🇮🇴🇹", "🇮🇩🇮🇴🇹"},
		{"parentheses", "⒤⒟⒤⒪⒯", "⒤⒟⒤⒪⒯"},
		{"digits for letters", "1d10t f00l", "f00l"},
		{"fewer of them", "id10t", "id10t"},
		{"symbols for letters", "sp@mmer $pammer a$$ id!ot", "sp@mmer|$pammer|a$$|id!ot"},
		{"capital I for l", "fooI fooll", "fooI|fooll"},
		{"repeats", "fffoooool aaasss", "fffoooool|aaasss"},
		{"repeats with skipping", "f.f.o.o.l a.s.s", "f.o.o.l|a.s.s"},
		{"pinyin initials", "加JWX吧 j.w.x", "JWX|j.w.x"},
		{"glued to ideographs", "大idiot啊", "idiot"},
		{"a phrase", "a f.r.e.e GIFT for", "f.r.e.e GIFT"},
		{"a phrase without blank", "freegift", "freegift"},
		{"link", "来 T．me/abc", "T．me"},
		{"link, spaced", "t . m e", "t . m e"},
		{"composed", "caf\u00e9", "caf\u00e9"},
		{"decomposed", "cafe\u0301 x", "cafe\u0301"},
		{"without accent", "CAFE", "CAFE"},
		{"Cyrillic word", "СУКА сука cyka", "СУКА|сука|cyka"},
		{"Greek word", "ΝΌΜΟΣ νόμος", "ΝΌΜΟΣ|νόμος"},
		{"kana, decomposed", "は\u3099か", "は\u3099か"},
		{"Hangul, decomposed", "\u1107\u1161\u1107\u1169", "\u1107\u1161\u1107\u1169"},
		{"letters for digits", "qq l234o", "qq l234o"},
		{"digits in circles", "QQ①②❸④〇", "QQ①②❸④〇"},
		{"radicals", "⼒加威信", "加威信"},
		{"compatibility ideographs", "加威\U0002F800信 加威信", "加威信"},
		{"bytes that are no text", "加\xff微\xc0信", "加\xff微\xc0信"},
	} {
		t.Run(test.way, func(t *testing.T) {
			got := found(f, test.text)
			var all string
			for i, s := range got {
				if i > 0 {
					all += "|"
				}
				all += s
			}
			if all != test.want {
				t.Errorf("found %q in %q, want %q", got, test.text, test.want)
			}
		})
	}
}

func TestNotFound(t *testing.T) {
	f := compile(t,
		Word{Text: "ass", Action: Mask, WholeWord: true, Repeats: true},
		Word{Text: "sb", Action: Mask},
		Word{Text: "penis", Action: Mask, WholeWord: true},
		Word{Text: "fall", Action: Mask},
		Word{Text: "18", Action: Mask, WholeWord: true},
		Word{Text: "加微信", Action: Block},
		Word{Text: "か", Action: Mask},
		Word{Text: "가", Action: Mask},
		Word{Text: "t.me", Action: Block},
		Word{Text: "10", Action: Mask},
	)
	for _, text := range []string{
		"", "class", "assassin", "glass", "clаss", "cl\u200bass", "as", "as soon", "a s", "a55",
		"58", "15b", "s", "5 8", "the pen is mine", "FAIL fail", "2018 1800", "加威信", "加好友，发微博",
		"が", "か\u3099", "ｶﾞ", "각", "\u1100\u1161\u11a8", "tame", "time", "io lo lO",
	} {
		if got := found(f, text); got != nil {
			t.Errorf("found %q in %q", got, text)
		}
	}
}

func TestOverlaps(t *testing.T) {
	f := compile(t,
		Word{Text: "微信", Action: Mask},
		Word{Text: "加微信", Action: Mask},
		Word{Text: "信任", Action: Mask},
		Word{Text: "坏", Action: Block},
		Word{Text: "坏人", Action: Mask},
		Word{Text: "坏人卡", Action: Hold},
		Word{Text: "微信支付", Action: Allow},
	)
	for _, test := range []struct {
		text string
		want []string
		act  Action
	}{
		{"加微信", []string{"加微信"}, Mask},
		{"加微信任", []string{"加微信", "信任"}, Mask},
		{"坏人", []string{"坏人", "坏"}, Block},
		{"坏人卡", []string{"坏人卡", "坏"}, Block},
		{"微信支付", nil, None},
		{"加微信支付", []string{"加微信"}, Mask},
		{"微信微信支付微信", []string{"微信", "微信"}, Mask},
	} {
		if got := found(f, test.text); !slices.Equal(got, test.want) {
			t.Errorf("found %q in %q, want %q", got, test.text, test.want)
		}
		if v := f.Check(test.text); v.Action != test.act {
			t.Errorf("%q: %v, want %v", test.text, v.Action, test.act)
		}
	}
}

func TestSameWordTwice(t *testing.T) {
	f := compile(t,
		Word{Text: "Spam", Action: Mask, Label: "1"},
		Word{Text: "ｓｐａｍ", Action: Block, Label: "2"},
		Word{Text: "spam", Action: Hold, Label: "3"},
		Word{Text: "s.pam", Action: Mask, Label: "4"},
		Word{Text: "spam", Action: Mask, Label: "5", WholeWord: true},
	)
	v := f.Check("x spam")
	if v.Action != Block || v.Match.Word.Label != "2" {
		t.Errorf("got %v by entry %q, want the most severe", v.Action, v.Match.Word.Label)
	}
}

func TestMask(t *testing.T) {
	f := compile(t,
		Word{Text: "idiot", Action: Mask},
		Word{Text: "加微信", Action: Block},
		Word{Text: "信任", Action: Mask},
		Word{Text: "👨‍👩‍👧🔞", Action: Mask},
	)
	for _, test := range []struct{ in, want string }{
		{"hello", "hello"},
		{"you idiot!", "you *****!"},
		{"é加微信任é", "é****é"},
		{"i\u0301d\u200bio.t\u0308\u0308x", "*******x"},
		{"加 微\u3000信", "*****"},
		{"x👨‍👩‍👧🔞y", "x**y"},
	} {
		if got := f.Mask(test.in); got != test.want {
			t.Errorf("Mask(%q) = %q, want %q", test.in, got, test.want)
		}
	}
}

func TestZeroFilter(t *testing.T) {
	for _, f := range []*Filter{nil, {}, compile(t)} {
		if v := f.Check("a"); v.Action != None || f.Find(nil, "a") != nil || f.Mask("a") != "a" || f.Len() != 0 {
			t.Errorf("a filter without words finds some")
		}
	}
}
