package ws

import (
	"runtime"
	"strings"
	"sync"
	"testing"
)

func TestAppendDeflated(t *testing.T) {
	for name, s := range map[string]string{
		"empty": "", "one byte": "x", "text": strings.Repeat("弹幕 danmaku ", 1000),
		"noise": noiseString(70000), "zeros": strings.Repeat("\x00", 1<<20),
	} {
		out := AppendDeflated([]byte("prefix"), []byte(s))
		if string(out[:6]) != "prefix" {
			t.Errorf("%s: the prefix became %q", name, out[:6])
		}
		f, err := inflate(out[6:], len(s))
		if err != nil || string(f.bytes()) != s {
			t.Errorf("%s: round trip failed with %v", name, err)
		}
		f.release()
		if limit := NewParser(0, &Limits{MaxMessage: max(1, len(s))}, true).limits.maxWire(true); uint64(len(out)-6) > limit {
			t.Errorf("%s: %d bytes deflate to %d, more than the parser takes", name, len(s), len(out)-6)
		}
	}
	if got := deflated(""); got != "\x00" {
		t.Errorf("empty message deflates to %q, want a single 0x00", got)
	}
}

// TestAppendDeflatedWithoutTakeover checks that a message never refers to one
// before it.
func TestAppendDeflatedWithoutTakeover(t *testing.T) {
	s := strings.Repeat("the same message ", 50)
	if first, second := deflated(s), deflated(s); first != second {
		t.Error("the second of two equal messages differs")
	}
}

// TestDeflatersAreBounded uses more goroutines than compressors.
func TestDeflatersAreBounded(t *testing.T) {
	var wg sync.WaitGroup
	for range 8 * runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for range 20 {
				if f, err := inflate([]byte(deflated("hello")), 5); err != nil {
					t.Error(err)
				} else {
					f.release()
				}
			}
		})
	}
	wg.Wait()
	if len(deflaters) != cap(deflaters) {
		t.Errorf("%d of %d compressors came back", len(deflaters), cap(deflaters))
	}
}
