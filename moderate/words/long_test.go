package words

import (
	"strings"
	"testing"
	"time"
)

// No message makes the filter slow: the time per byte is bounded for those made to be looked at again and again.
func TestLongMessages(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector is too slow for this")
	}
	f := compile(t,
		Word{Text: "fool", Action: Mask, Repeats: true},
		Word{Text: "ff", Action: Mask, Repeats: true},
		Word{Text: "f", Action: Mask, Repeats: true, WholeWord: true},
		Word{Text: "aaaaaaaab", Action: Mask},
		Word{Text: "aa", Action: Mask},
		Word{Text: "ab", Action: Mask, WholeWord: true},
		Word{Text: "t.me", Action: Mask},
	)
	for _, unit := range []string{"f", "f.", "f ", "a", "a.", "a@", "a\u0301", "$", "@$", "fo", "fol", "ﬀ", "x.", "\u200b", "a\u200b", "f\u200b", "o"} {
		text := strings.Repeat(unit, 64<<10/len(unit))
		for _, text := range []string{text, "f" + text, "a" + text + "b", "foo" + text + "l"} {
			start := time.Now()
			n := len(f.Find(nil, text))
			if took := time.Since(start); took > 500*time.Millisecond {
				t.Errorf("%d bytes of %q took %v, with %d matches", len(text), text[:5], took, n)
			}
		}
	}
}
