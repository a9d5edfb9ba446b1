package text

import (
	"strings"
	"unicode"

	"github.com/liveim/im/moderate/internal/fold"
)

// Skeleton returns what a name looks like, for comparison alone: names that people
// may take for each other have the same skeleton. Case, width, font, marks, blanks, punctuation,
// symbols and invisible characters do not count; look-alike letters, and digits and letters that look
// alike, are the same, as are "rn" and "m", and "vv" and "w". It follows the idea of skeletons in
// Unicode Technical Standard #39, goes further, and is no name to show or to keep.
func Skeleton(name string) string {
	table := fold.Get()
	var b strings.Builder
	b.Grow(len(name))
	add := func(u fold.Unit) {
		if u.Kind() == fold.Letter {
			b.WriteRune(fold.Coarse(u.Rune()))
		}
	}
	for _, r := range name {
		u, seq := table.Of(r)
		if seq == nil {
			if (r == '@' || r == '$' || r == '!' || r == '|') && b.Len() > 0 {
				b.WriteRune(fold.Coarse(r))
				continue
			}
			add(u)
			continue
		}
		for _, u := range seq {
			add(u)
		}
	}
	s := b.String()
	if strings.Contains(s, "rn") || strings.Contains(s, "vv") {
		s = strings.ReplaceAll(strings.ReplaceAll(s, "rn", "m"), "vv", "w")
	}
	return s
}

// Names guards names that only some people may bear, such as the host's and "Moderator". It
// is made by [NewNames], does not change after, and is safe for concurrent use.
type Names struct {
	reserved map[string]string // by skeleton
}

// NewNames returns a guard of the names. Those of which nothing can be seen are passed over.
func NewNames(reserved ...string) *Names {
	n := &Names{make(map[string]string, len(reserved))}
	for _, name := range reserved {
		if s := Skeleton(name); s != "" {
			n.reserved[s] = name
		}
	}
	return n
}

// Taken returns the reserved name that a name looks like. Digits and the word "official" or 官方
// around a reserved name do not make another one of it, as in "Host_2" or "官方主播".
func (n *Names) Taken(name string) (reserved string, taken bool) {
	s := Skeleton(name)
	if r, ok := n.reserved[s]; ok {
		return r, true
	}
	// Once more without what people add to a name to bear it all the same.
	bare := Skeleton(strings.TrimFunc(name, func(r rune) bool { return !unicode.IsLetter(r) }))
	for _, title := range []string{Skeleton("official"), Skeleton("the"), "官方", "本人"} {
		bare = strings.TrimSuffix(strings.TrimPrefix(bare, title), title)
	}
	r, ok := n.reserved[bare]
	return r, ok
}
