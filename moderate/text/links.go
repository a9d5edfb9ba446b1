package text

import (
	"fmt"
	"strings"

	"golang.org/x/text/unicode/norm"
)

// LinkAction is what shall happen to a text with a link in it. A greater one is more severe.
type LinkAction uint8

// The actions.
const (
	LinkPass  LinkAction = iota // there is no link, or only allowed ones
	LinkStrip                   // the links are taken out
	LinkHold                    // the text waits for a moderator
	LinkBlock                   // the text is refused
)

// LinkOptions says which links are welcome. The zero value: none.
type LinkOptions struct {
	// Allow holds domains, such as "example.com", that may be linked, with all below them. The comparison is
	// exact, so that a look-alike is not let through; a domain with letters beyond ASCII is given in these, and in
	// punycode too if both shall pass.
	Allow []string
	// Action is what happens to the others. Defaults to LinkBlock.
	Action LinkAction
	// TLDs are further top level domains by which a domain without "http://" is known, without the dot. The common ones are
	// built in; the others pass unnoticed unless "http://" or "www." is before them.
	TLDs []string
}

// Links finds links in text, disguised ones too: "example dot com", "ｅｘａｍｐｌｅ。ｃｏｍ", "example [.] com",
// "exаmple.com" with a Cyrillic а, "例子.中国". It is made by [NewLinks], does not change after, and is safe for
// concurrent use.
//
// It does not ask whether a domain exists. A bare domain counts if its last label is a common
// top level domain; where that is an everyday word, as in "thank you.me too", it takes a path, "www." or "http://" as well.
type Links struct {
	allow  []string
	action LinkAction
	tlds   map[string]tld
}

// Link is a link in a text.
type Link struct {
	// Start and End are byte offsets: text[Start:End] is the link with scheme and path. They lie between runes.
	Start, End int
	// Domain is where it leads: in small letters and Unicode, without port.
	Domain string
	// Allowed tells that the domain is on the list.
	Allowed bool
}

// NewLinks returns a finder with these options; nil means the zero value. The options are copied.
func NewLinks(opts *LinkOptions) (*Links, error) {
	if opts == nil {
		opts = &LinkOptions{}
	}
	l := &Links{action: opts.Action, tlds: knownTLDs()}
	if l.action == LinkPass {
		l.action = LinkBlock
	}
	if l.action > LinkBlock {
		return nil, fmt.Errorf("LinkOptions.Action is %d; use LinkStrip, LinkHold or LinkBlock", l.action)
	}
	for _, domain := range opts.Allow {
		d := domainOf(domain)
		if d == "" || strings.ContainsAny(d, "/:@* ") {
			return nil, fmt.Errorf("LinkOptions.Allow has %q, which is no domain; give the name alone, such as example.com", domain)
		}
		l.allow = append(l.allow, d)
	}
	for _, name := range opts.TLDs {
		key := labelKey(name)
		if key == "" {
			return nil, fmt.Errorf("LinkOptions.TLDs has %q, which is no top level domain; give it without the dot, such as com", name)
		}
		l.tlds[key] = tldSure
	}
	return l, nil
}

// Apply says what to do with a text, and returns it without the links if that is to strip them. first is
// the first link that is not allowed. A text without links costs a look at each byte and no
// allocation.
func (l *Links) Apply(text string) (out string, action LinkAction, first Link) {
	var room [4]Link
	var b strings.Builder
	done := 0
	for _, link := range l.Find(room[:0], text) {
		if link.Allowed {
			continue
		}
		if action == LinkPass {
			action, first = l.action, link
		}
		if l.action != LinkStrip {
			return text, action, first
		}
		b.WriteString(text[done:link.Start])
		done = link.End
	}
	if action == LinkPass {
		return text, action, first
	}
	b.WriteString(text[done:])
	return b.String(), action, first
}

// Find appends the links of a text to dst, in order and apart from each other, and returns the
// extended slice.
func (l *Links) Find(dst []Link, text string) []Link {
	s := linkScanner{links: l, text: text}
	for i := 0; i < len(text); {
		token, size := tokenAt(text, i)
		if token == tokenNone {
			i += size
			continue
		}
		var link Link
		var ok bool
		if token == tokenScheme {
			link, ok = s.afterScheme(i, i+size)
		} else {
			link, ok = s.domain(token, i, i+size)
		}
		if !ok {
			i += size
			continue
		}
		link.Allowed = l.allowed(link.Domain)
		dst = append(dst, link)
		i = max(link.End, i+size)
		s.done = link.End
	}
	return dst
}

func (l *Links) allowed(domain string) bool {
	for _, a := range l.allow {
		if domain == a || strings.HasSuffix(domain, "."+a) {
			return true
		}
	}
	return false
}

// domainOf is the form in which domains are compared. Look-alikes stay what they are.
func domainOf(s string) string {
	s = norm.NFKC.String(strings.ToLower(norm.NFKC.String(s)))
	var b strings.Builder
	for _, r := range s {
		switch c := classOf(r); {
		case c == charIgnored:
		case c == charDot || c == charWideDot || c == charMiddleDot:
			b.WriteByte('.')
		default:
			b.WriteRune(r)
		}
	}
	return strings.Trim(b.String(), ".")
}

// tld is how surely a label makes a domain of what is before it.
type tld uint8

const (
	tldSure tld = iota + 1
	tldWord     // a word: there must be a letter in the label before
	tldWeak     // a very common word: there must be a path, or www.
	tldHan      // needs a true dot
)

// knownTLDs are those that links in chat use most. The key is that of labelKey.
func knownTLDs() map[string]tld {
	all := map[string]tld{}
	for kind, names := range map[tld]string{
		tldSure: "com net org cn cc tv io ai gg xyz ru uk jp kr de fr tw hk eu br au nl pl ua vn biz icu edu gov mobi asia рф бел",
		tldWord: "top vip shop site online club info app dev live fun store tech wang xin ltd space website link click pro work ink cloud win bid men loan party review stream download red blue one world today group team fit life",
		tldWeak: "me to in is us so it at be co am im la ly ws fm st do my no id pm by ca es th",
		tldHan:  "中国 中國 公司 网络 網絡 网址 商城 集团 移动 在线 中文网 香港 台灣 台湾 网店 手机",
	} {
		for name := range strings.FieldsSeq(names) {
			all[labelKey(name)] = kind
		}
	}
	return all
}
