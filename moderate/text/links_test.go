package text

import (
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/liveim/im/internal/replay"
)

func links(t testing.TB, opts *LinkOptions) *Links {
	t.Helper()
	l, err := NewLinks(opts)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestFindLinks(t *testing.T) {
	l := links(t, nil)
	for _, test := range []struct{ text, link, domain string }{
		{"see http://example.com/a?b=c#d now", "http://example.com/a?b=c#d", "example.com"},
		{"看https://example.com/x看看", "https://example.com/x", "example.com"},
		{"http://baidu.com去看看", "http://baidu.com", "baidu.com"},
		{"HTTPS://USER:pw@Evil.COM:8080/good.com", "HTTPS://USER:pw@Evil.COM:8080/good.com", "evil.com"},
		{`https://evil.com\.good.com/`, `https://evil.com\.good.com/`, "evil.com"},
		{"ftp://localhost/x", "ftp://localhost/x", "localhost"},
		{"(http://a.b.zz/x).", "http://a.b.zz/x", "a.b.zz"},
		{"http：／／ｅｘａｍｐｌｅ．ｃｏｍ／ａ", "http：／／ｅｘａｍｐｌｅ．ｃｏｍ／ａ", "example.com"},
		{"去example.com看", "example.com", "example.com"},
		{"去看www.foo.zz吧", "www.foo.zz", "www.foo.zz"},
		{"a.b.example.com.cn/x y", "a.b.example.com.cn/x", "a.b.example.com.cn"},
		{"EXAMPLE.COM", "EXAMPLE.COM", "example.com"},
		{"163.com 12306.cn", "163.com|12306.cn", "163.com"},
		{"shop my.shop, now", "my.shop", "my.shop"},
		{"join t.me/abc", "t.me/abc", "t.me"},
		{"ｅｘａｍｐｌｅ．ｃｏｍ", "ｅｘａｍｐｌｅ．ｃｏｍ", "example.com"},
		{"ｅｘａｍｐｌｅ。ｃｏｍ", "ｅｘａｍｐｌｅ。ｃｏｍ", "example.com"},
		{"example｡com", "example｡com", "example.com"},
		{"example\u200b.\u200bco\u00adm", "example\u200b.\u200bco\u00adm", "example.com"},
		{"example dot com", "example dot com", "example.com"},
		{"example [dot] com, example(.)com example {DOT} net", "example [dot] com|example(.)com|example {DOT} net", "example.com"},
		{"example点com", "example点com", "example.com"},
		{"example 点 com", "example 点 com", "example.com"},
		{"example·com", "example·com", "example.com"},
		{"example . com example .com", "example . com|example .com", "example.com"},
		{"exаmple.cоm", "exаmple.cоm", "exаmple.cоm"},
		{"ⓔⓧⓐⓜⓟⓛⓔ.ⓒⓞⓜ", "ⓔⓧⓐⓜⓟⓛⓔ.ⓒⓞⓜ", "example.com"},
		{"例子.中国", "例子.中国", "例子.中国"},
		{"пример.рф", "пример.рф", "пример.рф"},
		{"münchen.de xn--mnchen-3ya.de", "münchen.de|xn--mnchen-3ya.de", "münchen.de"},
		{"1.2.3.4:8080/x and 10.0.0.1/", "1.2.3.4:8080/x|10.0.0.1/", "1.2.3.4"},
		{"mail me@example.org", "example.org", "example.org"},
		{"good.com@evil.ru", "good.com|evil.ru", "good.com"},
	} {
		var found []string
		all := l.Find(nil, test.text)
		for _, link := range all {
			found = append(found, test.text[link.Start:link.End])
		}
		if got := strings.Join(found, "|"); got != test.link {
			t.Errorf("found %q in %q, want %q", got, test.text, test.link)
		} else if all[0].Domain != test.domain {
			t.Errorf("%q leads to %q, want %q", test.text, all[0].Domain, test.domain)
		}
	}
}

func TestNoLinks(t *testing.T) {
	l := links(t, nil)
	for _, text := range []string{
		"", "hello", "thank you.me too", "I like it.So what", "the end. com is short", "3.14 1.2.3.4 v1.10.2", "e.g. this", "...com", "wait...what",
		"the dot com bubble", "connect the dot", "好的。谢谢。com", "三点半开始", "我爱你。中国", "a.b", "node.js main.go README.md", "::://", "://",
		"12.top 3.live", "等等……cn", "(．_．)", "T.T", "0.5", "What is this for?", "ok.no", "。。。", "重点com", "10:30", "C:\\x",
	} {
		for _, link := range l.Find(nil, text) {
			t.Errorf("found %q in %q", text[link.Start:link.End], text)
		}
	}
}

func TestAllowedLinks(t *testing.T) {
	l := links(t, &LinkOptions{Allow: []string{"Example.com", "bücher.de", "b23.tv"}, Action: LinkStrip, TLDs: []string{"internal"}})
	for _, test := range []struct {
		text, out string
		action    LinkAction
	}{
		{"https://example.com/x www.example.com sub.EXAMPLE.com b23.tv/abc", "https://example.com/x www.example.com sub.EXAMPLE.com b23.tv/abc", LinkPass},
		{"bücher.de BU\u0308CHER.de", "bücher.de BU\u0308CHER.de", LinkPass},
		{"notexample.com ok", " ok", LinkStrip},
		{"exаmple.com", "", LinkStrip},
		{"bucher.de", "", LinkStrip},
		{"example.com.evil.ru example.com.evil.zz", " .evil.zz", LinkStrip},
		{"https://example.com@evil.ru/ a", " a", LinkStrip},
		{"example.com@evil.ru", "example.com@", LinkStrip},
		{"host.internal x", " x", LinkStrip},
		{"no links", "no links", LinkPass},
	} {
		out, action, first := l.Apply(test.text)
		if out != test.out || action != test.action {
			t.Errorf("Apply(%q) = %q, %d (%+v); want %q, %d", test.text, out, action, first, test.out, test.action)
		}
	}
	for _, opts := range []*LinkOptions{{Allow: []string{"http://a.com"}}, {Allow: []string{""}}, {Action: 9}, {TLDs: []string{".com"}}} {
		if _, err := NewLinks(opts); err == nil {
			t.Errorf("%+v is accepted", opts)
		}
	}
	if _, action, first := links(t, &LinkOptions{}).Apply("at a.com"); action != LinkBlock || first.Domain != "a.com" {
		t.Errorf("by default the action is %d for %+v", action, first)
	}
}

// The recordings hold one link, which somebody wrote.
func TestLinksInRecordings(t *testing.T) {
	l := links(t, nil)
	paths, err := replay.Find()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		if os.Getenv(replay.Env) != "" {
			t.Skip("other recordings may have other links")
		}
		items, err := replay.ReadFile(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, it := range items {
			for _, link := range l.Find(nil, it.Text) {
				if link.Domain != "bilibili.us" {
					t.Errorf("%s: found %q in %q", path, it.Text[link.Start:link.End], it.Text)
				}
			}
		}
	}
}

func FuzzLinks(f *testing.F) {
	for _, s := range []string{"http://a.b/c。", "去example dot com/看", "a[.]com.cn", "\xffa.com\u200b/\xf0", "：//a@b", "｡com．中国"} {
		f.Add(s)
	}
	l := links(f, &LinkOptions{Action: LinkStrip})
	f.Fuzz(func(t *testing.T, text string) {
		last := 0
		for _, link := range l.Find(nil, text) {
			if link.Start < last || link.End <= link.Start || link.Domain == "" && utf8.ValidString(text) {
				t.Fatalf("%+v in %q", link, text)
			}
			last = link.End
			if utf8.ValidString(text) && !utf8.ValidString(text[link.Start:link.End]) {
				t.Fatalf("%+v cuts a rune of %q", link, text)
			}
		}
		l.Apply(text)
	})
}

func TestLongLinks(t *testing.T) {
	l := links(t, nil)
	for _, unit := range []string{".", "a.", "http://", "a.com", "。", "[", "( ", "a@", "点", "com.", "://", "dot ", " .a"} {
		text := "a" + strings.Repeat(unit, 16<<10/len(unit))
		start := time.Now()
		l.Find(nil, text)
		if took := time.Since(start); took > time.Second {
			t.Errorf("16 KiB of %q take %v", unit, took)
		}
	}
}

func TestLinksAllocateNothingWhenNone(t *testing.T) {
	l := links(t, nil)
	for _, text := range []string{"hello there. how are you today", "前方高能预警。非战斗人员撤离。三点半", "what dots"} {
		if n := testing.AllocsPerRun(100, func() { l.Apply(text) }); n != 0 {
			t.Errorf("%v allocations for %q", n, text)
		}
	}
}

func BenchmarkLinks(b *testing.B) {
	l := links(b, nil)
	for name, text := range map[string]string{
		"none, ideographs": "前方高能预警。非战斗人员请有序撤离，前方高能预警，三点半了",
		"none, Latin":      "hello there. how are you today",
		"one":              "去 example dot com/abc 看看吧，真的有惊喜",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				l.Apply(text)
			}
		})
	}
}
