package danmaku

import (
	"hash/maphash"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

var seed = maphash.MakeSeed()

func TestKeyOfTheSameTexts(t *testing.T) {
	for _, same := range [][]string{
		{"666", "６６６", "6666666", "66", " 666 ", "666!", "666！！！", "6\u200b66"},
		{"Hello World", "hello world", "ＨＥＬＬＯ　ｗｏｒｌｄ", "hello   world~~~", "HELLO\tWORLD…"},
		{"哈哈", "哈哈哈哈哈哈哈哈", "哈哈哈。", "哈哈～"},
		{"？？？", "???", "??"},
		{"❤️", "❤"},
		{"1000", "１０００", "1000！"},
		{"Привет", "ПРИВЕТ"},
		{"a" + strings.Repeat("长", 3), "A长长"},
	} {
		for _, text := range same[1:] {
			if a, b := Key(seed, same[0]), Key(seed, text); a != b || a == 0 {
				t.Errorf("%q has the key %x, %q %x; want the same, not 0", same[0], a, text, b)
			}
		}
	}
}

func TestKeyOfDifferentTexts(t *testing.T) {
	different := []string{
		"6", "66", "good", "god", "100", "1000", "10000", "a b", "ab", "666 777", "哈", "哈哈", "?", "??", "!", "c+", "c",
		"出1000", "出100", "aab", "abb", "主播好", "主播 好", "😂", "😂😂", "👍", "1 1", "11",
	}
	keys := map[uint64]string{}
	for _, text := range different {
		k := Key(seed, text)
		if other, ok := keys[k]; ok || k == 0 {
			t.Errorf("%q has the key of %q (%x)", text, other, k)
		}
		keys[k] = text
	}
}

func TestKeyOfNothing(t *testing.T) {
	for _, text := range []string{"", " ", "\u3000\t\n", "\u200b", "\ufe0f \u2060"} {
		if k := Key(seed, text); k != 0 {
			t.Errorf("%q has the key %x, want 0", text, k)
		}
	}
}

func TestKeyDoesNotAllocate(t *testing.T) {
	text := strings.Repeat("主播 666 Ｗｏｗ!", 20)
	if n := testing.AllocsPerRun(100, func() { Key(seed, text) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzKey(f *testing.F) {
	for _, text := range []string{"666", "Hello, world!", "哈哈哈～", "\xff\xfe", "👩‍👩‍👧‍👦", "１２３ 45", "İı"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		k := Key(seed, text)
		if Key(seed, text) != k {
			t.Fatal("the key of one text is not always the same")
		}
		if k == 0 {
			for _, r := range text {
				if unicode.IsLetter(r) || unicode.IsDigit(r) {
					t.Fatalf("%q has no key", text)
				}
			}
			return
		}
		if padded := Key(seed, " "+text+"\u3000"); padded != k {
			t.Fatalf("%q: blanks around it change the key", text)
		}
		if r, _ := utf8.DecodeLastRuneInString(text); unicode.IsLetter(r) && Key(seed, text+"！") != k {
			t.Fatalf("%q: punctuation after it changes the key", text)
		}
	})
}

func BenchmarkKey(b *testing.B) {
	for _, c := range []struct{ name, text string }{
		{"cheer", "666666"},
		{"ascii20", "hello from Berlin!!!"},
		{"han20", "主播今天的直播真是太精彩了我要给你点赞哈"},
		{"cyrillic20", "Привет из Берлина!!!"},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Key(seed, c.text)
			}
		})
	}
}
