package text

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestPolicy(t *testing.T) {
	for _, test := range []struct {
		name, in, want string
		problem        Problem // with Refuse
	}{
		{"plain", "hello 世界, ça va? ありがとう", "hello 世界, ça va? ありがとう", 0},
		{"right-to-left override", "abc\u202etxt.exe", "abctxt.exe", Bidi},
		{"isolates", "\u2066a\u2069\u200e\u200f\u061c", "a", Bidi},
		{"Zalgo", "z\u0301\u0302\u0303\u0304\u0305\u0306\u0307a", "z\u0301\u0302\u0303\u0304a", Marks},
		{"marks on nothing", "\u0301\u0302a", "a", Marks},
		{"enclosing marks", strings.Repeat("o\u20dd", 2) + "o\u20dd\u20dd\u20dd\u20dd\u20dd", strings.Repeat("o\u20dd", 3) + "\u20dd\u20dd\u20dd", Marks},
		{"zero width", "a\u200b\u200b\ufeffb\u2060\u00ad", "ab", Invisible},
		{"fillers", "a\u3164\u115f\u1160\uffa0\u2800\u034fb", "ab", Invisible},
		{"tags", "a\U000E0061\U000E0062", "a", Invisible},
		{"NUL and escape", "a\x00b\x1b[31mc\u0085d", "ab[31mc d", Control},
		{"line breaks", "a\r\n\n b\u2028c\td", "a  b c d", Control},
		{"bytes", "a\xffb\xe4\xb8", "ab", Encoding},
		{"joiner in Latin", "a\u200db", "ab", Invisible},
		{"joiners in a row", "👩\u200d\u200d👧", "👩\u200d👧", Invisible},
		{"joiner at the end", "👩\u200d", "👩", Invisible},
		{"joiner before what is taken out", "👩\u200d\u202ea", "👩a", Bidi},
		{"family", "👨\u200d👩\u200d👧\u200d👦", "👨\u200d👩\u200d👧\u200d👦", 0},
		{"heart on fire, skin, keycap", "❤️\u200d🔥👍🏽1️⃣👩🏽\u200d🚀", "❤️\u200d🔥👍🏽1️⃣👩🏽\u200d🚀", 0},
		{"flag of England", "🏴\U000E0067\U000E0062\U000E0065\U000E006E\U000E0067\U000E007F", "🏴\U000E0067\U000E0062\U000E0065\U000E006E\U000E0067\U000E007F", 0},
		{"Persian", "می\u200cخواهم", "می\u200cخواهم", 0},
		{"Hindi", "क्\u200dष नमस्ते", "क्\u200dष नमस्ते", 0},
		{"Thai", "ที่นี่ กำลัง", "ที่นี่ กำลัง", 0},
		{"Hebrew with points", "בְּרֵאשִׁ֖ית", "בְּרֵאשִׁ֖ית", 0},
		{"Vietnamese, decomposed", "Vie\u0302\u0323t", "Vie\u0302\u0323t", 0},
		{"variation selectors", "字\U000E0100 a\ufe0f\ufe0f \ufe0f", "字\U000E0100 a\ufe0f ", Invisible},
		{"art of blanks", "　　　赤　　　", "　　　赤　　　", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := new(Policy).Apply(test.in)
			if err != nil || got != test.want {
				t.Errorf("Apply(%+q) = %+q, %v; want %+q", test.in, got, err, test.want)
			}
			_, err = (&Policy{Refuse: true}).Apply(test.in)
			var e *Error
			switch errors.As(err, &e); {
			case test.problem == 0 && err != nil:
				t.Errorf("refused %+q: %v", test.in, err)
			case test.problem != 0 && (e == nil || e.Problem != test.problem):
				t.Errorf("refusing %+q: %v, want problem %d", test.in, err, test.problem)
			}
		})
	}
}

func TestPolicyLimits(t *testing.T) {
	family := "👨\u200d👩\u200d👧"
	for _, test := range []struct {
		p    Policy
		in   string
		want string // of the error
	}{
		{Policy{MaxGraphemes: 3}, strings.Repeat(family, 3), ""},
		{Policy{MaxGraphemes: 3}, strings.Repeat(family, 4), "the text has 4 characters, more than 3"},
		{Policy{MaxGraphemes: 3}, "e\u0301e\u0301e\u0301", ""},
		{Policy{MaxGraphemes: 3}, "a\u200bb\u200bc\u200b", ""},
		{Policy{MaxBytes: 5}, "微信", "the text has 6 bytes, more than 5"},
		{Policy{}, strings.Repeat("a", 501), "the text has 501 characters"},
		{Policy{}, strings.Repeat("微", 1334), "the text has 4002 bytes"},
		{Policy{MaxBytes: -1, MaxGraphemes: -1}, strings.Repeat("a", 10000), ""},
		{Policy{}, " \u200b\t　", "the text shows nothing"},
		{Policy{}, "", "the text shows nothing"},
		{Policy{AllowEmpty: true}, "\u200b", ""},
		{Policy{Lines: true, Refuse: true}, "a\n\tb", ""},
		{Policy{MaxMarks: -1, Refuse: true}, "e\u0301", "the text has too many marks on the character before byte 1"},
	} {
		_, err := test.p.Apply(test.in)
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.HasPrefix(err.Error(), test.want)) {
			t.Errorf("%+v.Apply(%.20q): %v, want %q", test.p, test.in, err, test.want)
		}
	}
}

func FuzzPolicy(f *testing.F) {
	f.Add("👨\u200d👩\u200d👧\u202e a\u0301\u0302\u0303\u0304\u0305 \xff\n\nb\ufe0f")
	f.Add("ب\u200d\u0610\u0611\u0612\u0613\u0614a")
	f.Fuzz(func(t *testing.T, in string) {
		p := Policy{AllowEmpty: true, MaxBytes: -1, MaxGraphemes: -1}
		out, err := p.Apply(in)
		if err != nil || !utf8.ValidString(out) {
			t.Fatalf("Apply(%+q) = %+q, %v", in, out, err)
		}
		p.Refuse = true
		if again, err := p.Apply(out); err != nil || again != out {
			t.Fatalf("%+q became %+q, which is refused: %v", in, out, err)
		}
		if again, err := p.Apply(in); (err == nil) != (in == out) || err == nil && again != in {
			t.Fatalf("%+q became %+q, but refusing said %v", in, out, err)
		}
	})
}

func TestPolicyAllocatesNothing(t *testing.T) {
	var p Policy
	for _, text := range []string{"hello there", "前方高能预警，非战斗人员撤离", "👨\u200d👩\u200d👧 ok"} {
		if n := testing.AllocsPerRun(100, func() { _, _ = p.Apply(text) }); n != 0 {
			t.Errorf("%v allocations for %q", n, text)
		}
	}
}

func BenchmarkPolicy(b *testing.B) {
	var p Policy
	for name, text := range map[string]string{
		"ideographs": "前方高能预警非战斗人员请有序撤离前方高能预警非战斗人员请有",
		"Latin":      "hello there, how are you today",
		"dirty":      "a\u202eb\u200bc\u0301\u0302\u0303\u0304\u0305\u0306 👨\u200d👩\u200d👧",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = p.Apply(text)
			}
		})
	}
}
