package text

import (
	"strings"
	"unicode/utf8"

	"github.com/liveim/im/moderate/internal/fold"
)

// char is what a rune is for a link.
type char uint8

const (
	charOther     char = iota
	charIgnored        // invisible, or a mark
	charAlpha          // letters that stand in labels, digits, the hyphen
	charEastern        // letters of scripts without blanks
	charDot            // of any width
	charWideDot        // the full stop of East Asia
	charMiddleDot      // · and the like
	charSpace
)

func classOf(r rune) char {
	c, _ := charOf(r)
	return c
}

// charOf returns what a rune is for a link, and its fold.
func charOf(r rune) (char, rune) {
	u, seq := fold.Get().Of(r)
	if seq != nil {
		u = seq[0] // of a syllable, the first part
	}
	f := u.Rune()
	switch u.Kind() {
	case fold.Letter:
		if fold.Eastern(f) || fold.Eastern(r) {
			return charEastern, r
		}
		return charAlpha, f
	case fold.Invisible, fold.Mark:
		return charIgnored, f
	case fold.Space:
		return charSpace, f
	}
	switch f {
	case '-', '_', '‐', '‑':
		return charAlpha, '-'
	case '.':
		return charDot, f
	case '。':
		return charWideDot, f
	case '·', '•', '・':
		return charMiddleDot, f
	}
	return charOther, f
}

// token is what may make a link of what is around it.
type token uint8

const (
	tokenNone   token = iota
	tokenDot          // a dot, with letters right beside it
	tokenLoose        // another way to say dot; blanks may be around it
	tokenScheme       // ://
)

// tokenAt looks for a token at a place and returns how long it is; without one, how far to go on.
func tokenAt(text string, i int) (token, int) {
	b := text[i]
	if b < utf8.RuneSelf {
		switch b {
		case '.':
			return tokenDot, 1
		case ':':
			if strings.HasPrefix(text[i:], "://") {
				return tokenScheme, 3
			}
		case 'd', 'D':
			if dotWord(text, i) && i > 0 && text[i-1] == ' ' && i+3 < len(text) && text[i+3] == ' ' {
				return tokenLoose, 3
			}
		case '(', '[', '{', '<':
			return bracketed(text, i)
		}
		return tokenNone, 1
	}
	r, size := utf8.DecodeRuneInString(text[i:])
	switch r {
	case 0xFF0E, 0x2024, 0xFE52:
		return tokenDot, size
	case '。', '｡', '·', '•', '・', '点', '點':
		return tokenLoose, size
	case '：':
		if end := i + size; strings.HasPrefix(text[end:], "／／") || strings.HasPrefix(text[end:], "//") {
			return tokenScheme, size + len(text[end:]) - len(strings.TrimLeft(text[end:], "/／"))
		}
	}
	return tokenNone, size
}

func dotWord(text string, i int) bool {
	return i+3 <= len(text) && strings.EqualFold(text[i:i+3], "dot")
}

// bracketed looks for "[dot]", "(.)" and the like.
func bracketed(text string, i int) (token, int) {
	j := i + 1
	for j < len(text) && text[j] == ' ' {
		j++
	}
	switch {
	case dotWord(text, j):
		j += 3
	case j < len(text) && text[j] == '.':
		j++
	case strings.HasPrefix(text[j:], "点"):
		j += len("点")
	default:
		return tokenNone, 1
	}
	for j < len(text) && text[j] == ' ' {
		j++
	}
	if j < len(text) && strings.IndexByte(")]}>", text[j]) >= 0 {
		return tokenLoose, j + 1 - i
	}
	return tokenNone, 1
}

// maxLabels and maxLabel, in runes, bound the work for texts made to be slow.
const (
	maxLabels = 32
	maxLabel  = 128
)

// label is a part of a domain.
type label struct {
	start, end int
	kind       char // charAlpha or charEastern
	letters    bool // it has others than digits
	size       int
	key        [maxTLD]byte // its fold, if that fits
}

// maxTLD is the longest top level domain that is looked for, in bytes.
const maxTLD = 24

func (l *label) add(r rune) {
	if l.size+utf8.RuneLen(r) <= maxTLD && l.size >= 0 {
		l.size += utf8.EncodeRune(l.key[l.size:], r)
	} else {
		l.size = -1
	}
	l.letters = l.letters || r < '0' || r > '9'
}

func labelKey(name string) string {
	l := readLabel(name, 0)
	if l.size <= 0 || l.end != len(name) {
		return ""
	}
	return string(l.key[:l.size])
}

// readLabel reads the label that begins at a place. It ends where the kind of script does, so that
// "com去看" is com.
func readLabel(text string, at int) label {
	l := label{start: at, end: at}
	for i, n := at, 0; i < len(text) && n < maxLabel; n++ {
		r, size := utf8.DecodeRuneInString(text[i:])
		c, f := charOf(r)
		i += size
		if c == charIgnored {
			continue
		}
		if c != charAlpha && c != charEastern || l.kind != charOther && l.kind != c || r == '点' || r == '點' {
			break
		}
		l.kind, l.end = c, i
		l.add(f)
	}
	return l
}

// labelBefore reads the label that ends at a place, not further back than limit.
func labelBefore(text string, at, limit int) label {
	l := label{start: at, end: at}
	for i, n := at, 0; i > limit && n < maxLabel; n++ {
		r, size := utf8.DecodeLastRuneInString(text[limit:i])
		c, f := charOf(r)
		i -= size
		if c == charIgnored {
			continue
		}
		if c != charAlpha && c != charEastern || l.kind != charOther && l.kind != c {
			break
		}
		l.kind, l.start = c, i
		l.letters = l.letters || f < '0' || f > '9'
	}
	return l
}

// linkScanner looks for links in one text.
type linkScanner struct {
	links *Links
	text  string
	done  int // the end of the last link
}

// afterScheme makes a link of what is around "://".
func (s *linkScanner) afterScheme(at, after int) (Link, bool) {
	scheme := labelBefore(s.text, at, s.done)
	if scheme.kind != charAlpha {
		return Link{}, false
	}
	end := s.path(after)
	host := s.text[after:end]
	if i := strings.IndexAny(host, "/?#\\／？＃＼"); i >= 0 {
		host = host[:i]
	}
	host = host[strings.LastIndexAny(host, "@＠")+1:] // a browser takes what is before for a user
	if i := strings.IndexAny(host, ":："); i >= 0 {
		host = host[:i]
	}
	if domainOf(host) == "" {
		return Link{}, false
	}
	return Link{Start: scheme.start, End: end, Domain: domainOf(host)}, true
}

// path returns where what belongs to a link ends: at a blank, or where East Asian text goes on behind
// it. The punctuation of the sentence is left out.
func (s *linkScanner) path(at int) int {
	end := at
	before := charOther
	for i := at; i < len(s.text); {
		r, size := utf8.DecodeRuneInString(s.text[i:])
		c, f := charOf(r)
		if c == charSpace || f == '"' || f == '<' || f == '>' || r == '，' || r == '！' {
			break
		}
		so := s.text[at:i]
		if inPath := strings.ContainsAny(so, "/?#"); (c == charEastern || r == '。') && (inPath || before == charAlpha && strings.Contains(so, ".")) {
			break
		}
		i += size
		if c != charIgnored {
			end, before = i, c
		}
	}
	return at + len(strings.TrimRight(s.text[at:end], ".,!?;:)]'"))
}

// domain makes a link of what is around a dot.
func (s *linkScanner) domain(tok token, at, after int) (Link, bool) {
	loose := tok == tokenLoose
	left := labelBefore(s.text, s.back(at), s.done)
	if s.back(at) != at { // "example . com", but not "the end. com"
		loose = true
	}
	begin := after
	if loose {
		begin = s.ahead(after)
	}
	if left.kind == charOther || loose && (left.kind != charAlpha || !left.letters) {
		return Link{}, false
	}
	if loose && dotTalk(s.text[left.start:left.end]) {
		return Link{}, false
	}
	end, all := s.host(left, begin, loose)
	if end == 0 {
		return Link{}, false
	}
	link := Link{Start: left.start, End: end}
	if rest := s.text[end:]; rest != "" && strings.IndexByte("/?#:", rest[0]) >= 0 && all == end {
		link.End = s.path(end)
	}
	var b strings.Builder
	b.WriteString(s.text[left.start:left.end])
	b.WriteByte('.')
	b.WriteString(s.text[begin:all])
	link.Domain = domainOf(b.String())
	return link, true
}

// host reads the labels from a place on. It returns where the last one that is a top level domain
// ends, 0 if there is none, and where the labels end: what comes after the top level domain may be
// a sentence, or be the true one.
func (s *linkScanner) host(left label, at int, loose bool) (end, all int) {
	www := isWWW(s.text[left.start:left.end])
	before, numeric := left, !left.letters
	for n := 1; n <= maxLabels; n++ {
		l := readLabel(s.text, at)
		if l.kind == charOther {
			return end, max(all, end)
		}
		all = l.end
		numeric = numeric && !l.letters
		kind := tld(0)
		if l.size > 0 {
			kind = s.links.tlds[string(l.key[:l.size])]
		}
		path := strings.HasPrefix(s.text[l.end:], "/")
		switch {
		case kind == tldSure,
			kind == tldWord && !loose && (before.letters || path),
			kind == tldWeak && !loose && (path || www),
			kind == tldHan && !loose,
			www && n > 1 && !loose,
			numeric && n == 3 && !loose && (path || strings.HasPrefix(s.text[l.end:], ":")):
			end = l.end
		}
		tok, size := tokenNone, 0
		if l.end < len(s.text) {
			tok, size = tokenAt(s.text, l.end)
		}
		if tok != tokenDot && !(tok == tokenLoose && !loose && l.kind == charAlpha) {
			return end, all
		}
		if tok == tokenLoose && end != 0 {
			return end, all // the full stop of the sentence
		}
		at, before = l.end+size, l
	}
	return end, all
}

func isWWW(s string) bool {
	l := readLabel(s, 0)
	return l.size == 3 && string(l.key[:3]) == "www"
}

// dotTalk tells the words after which "dot com" is no domain.
func dotTalk(word string) bool {
	for _, w := range [...]string{"the", "a", "this", "that", "every", "any", "first"} {
		if strings.EqualFold(word, w) {
			return true
		}
	}
	return false
}

// back and ahead pass over blanks, few as they are in a disguise.
func (s *linkScanner) back(at int) int {
	for range 2 {
		r, size := utf8.DecodeLastRuneInString(s.text[s.done:at])
		if size == 0 || classOf(r) != charSpace {
			break
		}
		at -= size
	}
	return at
}

func (s *linkScanner) ahead(at int) int {
	for range 2 {
		r, size := utf8.DecodeRuneInString(s.text[at:])
		if size == 0 || classOf(r) != charSpace {
			break
		}
		at += size
	}
	return at
}
