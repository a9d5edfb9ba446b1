package text

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/clipperhouse/uax29/v2/graphemes"

	"github.com/liveim/im/moderate/internal/fold"
)

// Policy says which characters a text may have and how long it may be. The zero value is the policy
// for chat: what disturbs is taken out, and what is too long is refused. Its fields must
// not change while it is in use.
type Policy struct {
	// Refuse refuses a text with something in it that would be taken out otherwise.
	Refuse bool
	// MaxGraphemes is the greatest length in characters as people count them
	// (grapheme clusters): "é", "👨‍👩‍👧" and "각" are one each. Defaults to 500; negative: no limit.
	MaxGraphemes int
	// MaxBytes is the greatest length in bytes of UTF-8. Defaults to 4000; negative: no limit. It is
	// checked before anything else as well, so that the work is bounded.
	MaxBytes int
	// MaxMarks is how many marks may stand on one character; further ones are taken out.
	// Languages need up to 4. Defaults to 4; negative: none.
	MaxMarks int
	// Lines keeps line breaks. Without it each row of them becomes one blank.
	Lines bool
	// AllowEmpty lets a text pass of which nothing is left to see.
	AllowEmpty bool
}

const (
	defaultGraphemes = 500
	defaultBytes     = 4000
	defaultMarks     = 4
)

// Problem is what a policy has against a text.
type Problem uint8

// The problems.
const (
	Encoding  Problem = iota + 1 // it is not UTF-8
	TooLong                      // it has too many characters or bytes
	Empty                        // there is nothing to see
	Control                      // control characters, line breaks included where they are not allowed
	Bidi                         // characters that turn the direction of what follows
	Invisible                    // characters without width where they join nothing
	Marks                        // too many marks on one character
)

// Error is why a text is refused.
type Error struct {
	Problem Problem
	// At is the offset in bytes of the first character in question; 0 for the whole text.
	At int
	// Length and Limit are set for TooLong, in Unit.
	Length, Limit int
	Unit          string // "characters" or "bytes"
}

// Error says what to do about it, to the one who wrote the text.
func (e *Error) Error() string {
	switch e.Problem {
	case Encoding:
		return fmt.Sprintf("the text is not UTF-8 from byte %d on; send it in that encoding", e.At)
	case TooLong:
		return fmt.Sprintf("the text has %d %s, more than %d; make it shorter", e.Length, e.Unit, e.Limit)
	case Empty:
		return "the text shows nothing; write something"
	case Control:
		return fmt.Sprintf("the text has a control character at byte %d; take it out", e.At)
	case Bidi:
		return fmt.Sprintf("the text changes its direction at byte %d by an invisible character; take that out", e.At)
	case Invisible:
		return fmt.Sprintf("the text has an invisible character at byte %d; take it out", e.At)
	case Marks:
		return fmt.Sprintf("the text has too many marks on the character before byte %d; take some off", e.At)
	}
	return "the text is refused"
}

// Apply returns the text without what disturbs, or an [*Error]. A text that is in order is returned as it
// is, without an allocation. To apply the policy again changes nothing more.
func (p *Policy) Apply(text string) (string, error) {
	limit := or(p.MaxBytes, defaultBytes)
	if limit >= 0 && len(text) > limit {
		return "", &Error{Problem: TooLong, Length: len(text), Limit: limit, Unit: "bytes"}
	}
	c := cleaner{policy: p, marks: max(or(p.MaxMarks, defaultMarks), 0), text: text}
	if err := c.run(); err != nil {
		return "", err
	}
	out := text
	if c.changed {
		out = c.out.String()
	}
	if !c.visible && !p.AllowEmpty {
		return "", &Error{Problem: Empty}
	}
	if limit := or(p.MaxGraphemes, defaultGraphemes); limit >= 0 && len(out) > limit {
		if n := Graphemes(out); n > limit {
			return "", &Error{Problem: TooLong, Length: n, Limit: limit, Unit: "characters"}
		}
	}
	return out, nil
}

func or(n, otherwise int) int {
	if n == 0 {
		return otherwise
	}
	return n
}

// Graphemes returns how long a text is in characters as people count them (grapheme
// clusters of Unicode Standard Annex #29).
func Graphemes(text string) int {
	n := 0
	for g := graphemes.FromString(text); g.Next(); {
		n++
	}
	return n
}

// cleaner goes through a text once.
type cleaner struct {
	policy *Policy
	marks  int
	text   string

	out     strings.Builder // what is kept of text[:at]
	at      int
	changed bool // out is in use

	before  rune // the last one kept; 0: none
	base    rune // the last one kept that is no mark and not invisible
	stacked int  // marks on it
	visible bool

	joiner   rune // waits for the next one; 0: none
	joinerAt int
}

func (c *cleaner) run() error {
	for c.at < len(c.text) {
		r, size := rune(c.text[c.at]), 1
		if r >= utf8.RuneSelf {
			if r, size = utf8.DecodeRuneInString(c.text[c.at:]); r == utf8.RuneError && size == 1 {
				if c.policy.Refuse {
					return &Error{Problem: Encoding, At: c.at}
				}
				c.replace("")
				c.at++
				continue
			}
		}
		if problem := c.problem(r); problem != 0 {
			if c.policy.Refuse {
				return &Error{Problem: problem, At: c.at}
			}
			instead := ""
			if problem == Control && unicode.IsSpace(r) && c.before != ' ' && c.before != 0 {
				instead, c.before, c.base, c.stacked = " ", ' ', ' ', 0
			}
			c.replace(instead)
			c.at += size
			continue
		}
		if err := c.keep(r, size); err != nil {
			return err
		}
		c.at += size
	}
	return c.dropJoiner()
}

// keep takes the current character. A joiner waits for the next one that is kept, since
// it stays only if that one joins.
func (c *cleaner) keep(r rune, size int) error {
	if r == joiner || r == nonJoiner {
		c.joiner, c.joinerAt = r, c.at
		return nil
	}
	if c.joiner != 0 {
		if !joins(r) {
			if err := c.dropJoiner(); err != nil {
				return err
			}
		} else if c.changed {
			c.out.WriteRune(c.joiner)
		}
		c.joiner = 0
	}
	if c.changed {
		c.out.WriteString(c.text[c.at : c.at+size])
	}
	c.before = r
	return nil
}

// dropJoiner takes out the joiner that waits, if there is one.
func (c *cleaner) dropJoiner() error {
	if c.joiner == 0 {
		return nil
	}
	if c.policy.Refuse {
		return &Error{Problem: Invisible, At: c.joinerAt}
	}
	if !c.changed {
		c.start(c.joinerAt)
		c.out.WriteString(c.text[c.joinerAt+utf8.RuneLen(c.joiner) : c.at])
	}
	c.joiner = 0
	return nil
}

// replace takes the current character out.
func (c *cleaner) replace(instead string) {
	if !c.changed {
		end := c.at
		if c.joiner != 0 {
			end = c.joinerAt
		}
		c.start(end)
	}
	if instead != "" {
		c.joiner = 0
		c.out.WriteString(instead)
	}
}

// start begins the text that is to be returned in place of the given one, with the first bytes of that.
func (c *cleaner) start(n int) {
	c.changed = true
	c.out.Grow(len(c.text))
	c.out.WriteString(c.text[:n])
}

// problem says what is wrong with a rune where it stands; 0: nothing.
func (c *cleaner) problem(r rune) Problem {
	if ' ' < r && r < 0x7F || 0x3041 <= r && r <= 0x3096 || 0x4E00 <= r && r <= 0x9FFF {
		c.base, c.stacked, c.visible = r, 0, true
		return 0
	}
	switch {
	case r == ' ':
	case r == '\n' && c.policy.Lines, r == '\t' && c.policy.Lines:
	case unicode.Is(unicode.Cc, r), r == 0x2028, r == 0x2029:
		return Control
	case bidi(r):
		return Bidi
	case fold.VariationSelector(r):
		if c.before != c.base || c.base == 0 || unicode.IsSpace(c.base) {
			return Invisible
		}
		return 0
	case r == joiner || r == nonJoiner:
		if c.joiner != 0 || !joins(c.before) {
			return Invisible
		}
		return 0
	case 0xE0020 <= r && r <= 0xE007F: // the letters of a flag that follows a black one
		if c.base != 0x1F3F4 || c.stacked >= 8 {
			return Invisible
		}
		c.stacked++
		return 0
	case fold.IsInvisible(r):
		return Invisible
	case unicode.In(r, unicode.Mn, unicode.Me):
		if c.base == 0 || c.stacked >= c.marks {
			return Marks
		}
		c.stacked++
		return 0
	}
	if !unicode.IsSpace(r) {
		c.visible = true
	}
	c.base, c.stacked = r, 0
	return 0
}

const (
	nonJoiner = 0x200C
	joiner    = 0x200D
)

// joins tells what a joiner may stand beside: emoji, and letters of the scripts that join theirs, or marks
// on them. It has no use in Latin, Greek, Cyrillic and East Asian text.
func joins(r rune) bool {
	switch {
	case 0x0590 <= r && r <= 0x0DFF, 0x0F00 <= r && r <= 0x109F, 0x1780 <= r && r <= 0x18AF:
		return !fold.IsInvisible(r) && !unicode.IsSpace(r)
	case 0x1F3FB <= r && r <= 0x1F3FF, fold.VariationSelector(r):
		return true
	case 0x2190 <= r && r <= 0x2BFF, 0x1F000 <= r && r <= 0x1FAFF:
		return unicode.IsSymbol(r)
	}
	return false
}

// bidi tells what changes the direction of text.
func bidi(r rune) bool {
	return 0x202A <= r && r <= 0x202E || 0x2066 <= r && r <= 0x2069 || r == 0x200E || r == 0x200F || r == 0x061C
}
