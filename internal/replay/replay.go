// Package replay reads recordings of danmaku, makes up new ones, and plays
// both at their own pace. Tests, benchmarks and the example application use it
// in place of a crowd.
//
// Two formats are read, told apart by their content: JSON Lines, and the XML
// that Bilibili and the tools around it write.
package replay

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"time"
)

// Item is one comment of a recording.
type Item struct {
	At    time.Duration // since the start of the recording
	Mode  int           // see the Mode constants
	Size  int           // of the font; 25 is the usual one, 18 small, 36 large
	Color int           // 0xRRGGBB
	User  string        // names the sender within the recording; may be empty
	Text  string        // never empty, valid UTF-8
}

// How a comment moves, as Bilibili numbers it. Modes above ModeReverse are
// programs, not text for people.
const (
	ModeScroll  = 1 // from right to left; 2 and 3 are older names of the same
	ModeBottom  = 4 // stands at the bottom
	ModeTop     = 5 // stands at the top
	ModeReverse = 6 // from left to right
)

// Plain reports whether the item is text for people, and not a program that
// only the player which it was written for can run.
func (it Item) Plain() bool { return it.Mode >= ModeScroll && it.Mode <= ModeReverse }

const (
	defaultSize  = 25
	defaultColor = 0xffffff
	maxAt        = 7 * 24 * time.Hour
)

// Limits bounds what a reader takes in. The zero value means the defaults.
type Limits struct {
	Bytes int64 // of the whole recording. Defaults to 256 MiB.
	Items int   // comments in it. Defaults to 1,000,000.
	Text  int   // bytes of one comment's text. Defaults to 16 KiB.
}

func (l *Limits) withDefaults() Limits {
	var c Limits
	if l != nil {
		c = *l
	}
	return Limits{
		Bytes: cmp.Or(c.Bytes, 256<<20),
		Items: cmp.Or(c.Items, 1_000_000),
		Text:  cmp.Or(c.Text, 16<<10),
	}
}

// ErrEmpty says that a recording holds no comment.
var ErrEmpty = errors.New("the recording holds no comments")

// Read reads a recording in whichever of the two formats it is, and returns
// its comments sorted by time; those of the same moment keep their order.
// Entries without text are left out. Nil limits are the defaults.
func Read(r io.Reader, limits *Limits) ([]Item, error) {
	br := bufio.NewReader(r)
	if bom, _ := br.Peek(3); string(bom) == "\ufeff" {
		_, _ = br.Discard(3) // cannot fail: they were peeked at
	}
	// The blanks are looked past, not read: the readers count lines.
	head, err := br.Peek(1024)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	head = bytes.TrimLeft(head, " \t\r\n")
	switch {
	case len(head) == 0:
		return nil, ErrEmpty
	case head[0] == '<':
		return readXML(br, limits)
	case head[0] == '{':
		return readJSONL(br, limits)
	}
	return nil, fmt.Errorf("the recording starts with %q: want JSON Lines ('{') or Bilibili XML ('<')", head[:1])
}

// ReadFile reads the recording in the named file.
func ReadFile(name string, limits *Limits) ([]Item, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	items, err := Read(f, limits)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return items, nil
}

// collector gathers the items of one recording within its limits.
type collector struct {
	limits Limits
	items  []Item
}

// add checks an item and takes it in. Seconds is the raw time of the item.
func (c *collector) add(it Item, seconds float64) error {
	if strings.TrimSpace(it.Text) == "" {
		return nil
	}
	switch {
	case !(seconds >= 0 && seconds <= maxAt.Seconds()): // NaN too
		return fmt.Errorf("time %v: want seconds from 0 to %.0f", seconds, maxAt.Seconds())
	case len(it.Text) > c.limits.Text:
		return fmt.Errorf("a text of %d bytes: at most %d are allowed", len(it.Text), c.limits.Text)
	case len(it.User) > 128:
		return fmt.Errorf("a user name of %d bytes: at most 128 are allowed", len(it.User))
	case len(c.items) >= c.limits.Items:
		return fmt.Errorf("more than %d comments", c.limits.Items)
	}
	it.At = time.Duration(math.Round(seconds*1e6)) * time.Microsecond
	it.Color &= 0xffffff // some old recordings carry more bits
	c.items = append(c.items, it)
	return nil
}

func (c *collector) finish() ([]Item, error) {
	if len(c.items) == 0 {
		return nil, ErrEmpty
	}
	slices.SortStableFunc(c.items, func(a, b Item) int { return cmp.Compare(a.At, b.At) })
	return c.items, nil
}

// limitReader is an io.LimitReader that ends with an error, so that a
// recording that is too long is not taken for a shorter one.
type limitReader struct {
	r    io.Reader
	left int64
	max  int64
}

func newLimitReader(r io.Reader, max int64) *limitReader {
	return &limitReader{r: r, left: max, max: max}
}

func (l *limitReader) Read(p []byte) (int, error) {
	if l.left < 0 {
		return 0, fmt.Errorf("the recording is longer than %d bytes", l.max)
	}
	// One byte more than is left tells the end at the limit from one beyond.
	if int64(len(p)) > l.left+1 {
		p = p[:l.left+1]
	}
	n, err := l.r.Read(p)
	l.left -= int64(n)
	if l.left < 0 {
		return n - 1, fmt.Errorf("the recording is longer than %d bytes", l.max)
	}
	return n, err
}
