package danmaku

import "testing"

func TestEmojiOnly(t *testing.T) {
	for text, want := range map[string]bool{
		"😂": true, "😂 😂\n👍": true, "  ❤️ ": true, "❤": true, "👍🏽": true, "☝🏿": true,
		"🇨🇳": true, "🇩🇪🇫🇷": true, "🏴󠁧󠁢󠁥󠁮󠁧󠁿": true, "🏳️‍🌈": true, "🏴‍☠️": true,
		"👨‍👩‍👧‍👦": true, "👩🏽‍🚀": true, "🧑‍🤝‍🧑": true, "🤷‍♂️": true,
		"1️⃣": true, "#️⃣*️⃣": true, "9⃣": true, "‼️": true, "©️": true, "ℹ️": true, "↔️": true, "㊗️": true, "🅰️": true,

		"": false, "  ": false, "1": false, "666": false, "#": false, "1️": false, "hello": false, "你好": false,
		"😂lol": false, "lol 😂": false, "😂!": false, ":)": false, "(^_^)": false, "©": false, "™": false,
		"🇨": false, "🇨🇳🇩": false, "🇨 🇳": false, "\u200d": false, "\ufe0f": false, "😂\u200d": false, "👩\u200dx": false,
		"\U000E0067": false, "🏴\U000E0067": false, "😂\U000E0067\U000E007F": false,
		"░▒▓": false, "⠿⠿": false, "┌─┐": false, "Ⓐ": false, "→": false, "♪": true, "😂\u0301": false, "\xff": false, "\x00": false,
	} {
		if got := EmojiOnly(text); got != want {
			t.Errorf("EmojiOnly(%q) is %v, want %v", text, got, want)
		}
	}
}

func FuzzEmojiOnly(f *testing.F) {
	for _, text := range []string{"😂", "1️⃣", "🇨🇳", "👨‍👩‍👧‍👦 x", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "\xf0\x9f"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		only := EmojiOnly(text)
		if EmojiOnly(text+"a") || EmojiOnly("7"+text+" 7") {
			t.Fatalf("%q with text beside it counts as emoji", text)
		}
		if only && !EmojiOnly(text+" "+text) {
			t.Fatalf("%q alone is emoji, twice it is not", text)
		}
	})
}

func BenchmarkEmojiOnly(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		EmojiOnly("😂😂 👩🏽‍🚀 🇨🇳")
	}
}
