package recording

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/liveim/im"
)

// comment is a danmaku as recordings from elsewhere have it.
type comment struct {
	seconds           float64 // since the start of the recording
	mode, size, color int
	sent              int64 // seconds since 1970; 0: not known
	pool              string
	user              string // names the sender within the recording; may be empty
	row               string
	text              string

	line int // of the file
	id   string
}

// How a comment moves, as Bilibili numbers it. Those above modeReverse are programs, not
// text for people.
const (
	modeScroll  = 1 // 2 and 3 are older names of the same
	modeBottom  = 4
	modeTop     = 5
	modeReverse = 6
)

const (
	sizeSmall, sizeNormal, sizeLarge = 18, 25, 36

	white   = 0xffffff
	maxTime = 7 * 24 * time.Hour
	maxUser = 100 // bytes, so that the id of an author has room for authorPrefix
)

// authorPrefix sets senders of other sites' recordings apart from users of this one.
const authorPrefix = "recorded:"

// check reports what is wrong with a comment.
func (c *comment) check() error {
	switch {
	case !(c.seconds >= 0 && c.seconds <= maxTime.Seconds()): // NaN too
		return fmt.Errorf("time %v: want seconds from 0 to %.0f", c.seconds, maxTime.Seconds())
	case len(c.user) > maxUser:
		return fmt.Errorf("a sender of %d bytes: at most %d are allowed", len(c.user), maxUser)
	}
	return nil
}

// shown reports whether there is anything for people in it.
func (c *comment) shown() bool {
	return c.mode >= modeScroll && c.mode <= modeReverse && strings.TrimSpace(c.text) != ""
}

func (c *comment) offset() time.Duration {
	return time.Duration(math.Round(c.seconds*1000)) * time.Millisecond
}

// identity is a hash of all that a comment is. again counts equal ones before it, which
// some recordings have.
func (c *comment) identity(again int) string {
	h := sha256.New()
	for _, s := range []string{
		strconv.FormatFloat(c.seconds, 'g', -1, 64), strconv.Itoa(c.mode), strconv.Itoa(c.size), strconv.Itoa(c.color),
		strconv.FormatInt(c.sent, 10), c.pool, c.user, c.row, c.text, strconv.Itoa(again),
	} {
		fmt.Fprintf(h, "%d:%s", len(s), s) // a hash takes everything
	}
	return "rec-" + base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:16])
}

// style is the body of a danmaku. What is usual is left out.
type style struct {
	Text  string `json:"text"`
	Mode  int    `json:"mode,omitempty"`
	Size  int    `json:"size,omitempty"`
	Color *int   `json:"color,omitempty"`
}

// event returns the comment as an event of a room whose recording began at start.
func (c *comment) event(kind im.Kind, start time.Time) (*im.Event, error) {
	s := style{Text: strings.ToValidUTF8(c.text, "")}
	if c.mode != modeScroll {
		s.Mode = c.mode
	}
	if c.size != sizeNormal {
		s.Size = c.size
	}
	if color := c.color & white; color != white { // some old recordings carry more bits
		s.Color = &color
	}
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false) // three characters for one would be counted against the room's bound
	if err := enc.Encode(&s); err != nil {
		return nil, err
	}
	e := &im.Event{ID: c.id, Kind: kind, At: start.Add(c.offset()), Body: bytes.TrimRight(body.Bytes(), "\n")}
	if c.user != "" {
		e.From.ID = authorPrefix + c.user
	}
	return e, nil
}

// commentOf reads what a file of danmaku can hold of an event: false if there is no text in it.
func commentOf(e *im.Event) (comment, bool) {
	c := comment{mode: modeScroll, size: sizeNormal, color: white, user: e.From.ID}
	if json.Unmarshal(e.Body, &c.text) == nil {
		return c, strings.TrimSpace(c.text) != ""
	}
	var b struct {
		Text  string          `json:"text"`
		Mode  json.RawMessage `json:"mode"`
		Size  json.RawMessage `json:"size"`
		Color json.RawMessage `json:"color"`
	}
	if json.Unmarshal(e.Body, &b) != nil {
		return c, false
	}
	c.text = b.Text
	c.mode = number(b.Mode, map[string]int{"top": modeTop, "bottom": modeBottom}, modeScroll)
	c.size = number(b.Size, map[string]int{"small": sizeSmall, "large": sizeLarge}, sizeNormal)
	c.color = colorOf(b.Color)
	return c, strings.TrimSpace(c.text) != ""
}

// number reads a number, or a word for one.
func number(raw json.RawMessage, words map[string]int, fallback int) int {
	var n int
	if json.Unmarshal(raw, &n) == nil && n > 0 && n <= math.MaxInt16 {
		return n
	}
	var word string
	if json.Unmarshal(raw, &word) == nil {
		if n, ok := words[word]; ok {
			return n
		}
	}
	return fallback
}

// colorOf reads 16777215, "#fff" or "#ffffff"; anything else is white.
func colorOf(raw json.RawMessage) int {
	var n int
	if len(raw) > 0 && json.Unmarshal(raw, &n) == nil && n >= 0 && n <= white {
		return n
	}
	var s string
	if json.Unmarshal(raw, &s) != nil || !strings.HasPrefix(s, "#") {
		return white
	}
	s = s[1:]
	if len(s) == 3 {
		s = string([]byte{s[0], s[0], s[1], s[1], s[2], s[2]})
	}
	v, err := strconv.ParseUint(s, 16, 32)
	if err != nil || len(s) != 6 {
		return white
	}
	return int(v)
}
