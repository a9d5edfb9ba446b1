package replay

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// line is one line of a JSON Lines recording. Fields that it does not name,
// such as "sent", are ignored.
type line struct {
	T     *float64 `json:"t"` // seconds since the start
	Mode  *int     `json:"mode"`
	Size  *int     `json:"size"`
	Color *int     `json:"color"`
	User  string   `json:"user"`
	Text  string   `json:"text"`
}

// readJSONL reads a recording of one JSON object a line, for example
//
//	{"t":1.8,"mode":1,"size":25,"color":16777215,"user":"u1","text":"前方高能"}
//
// Only t and text are required; blank lines are skipped. It returns what [Read]
// does. Errors name the line.
func readJSONL(r io.Reader, limits *Limits) ([]Item, error) {
	c := collector{limits: limits.withDefaults()}
	sc := bufio.NewScanner(newLimitReader(r, c.limits.Bytes))
	// An escaped text takes up to six bytes for each of its own.
	longest := 6*c.limits.Text + 4<<10
	sc.Buffer(make([]byte, 0, min(longest, 64<<10)), longest)
	n := 0
	for sc.Scan() {
		n++
		raw := bytes.TrimSpace(sc.Bytes())
		if len(raw) == 0 {
			continue
		}
		if err := c.addLine(raw); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
	}
	if err := sc.Err(); errors.Is(err, bufio.ErrTooLong) {
		return nil, fmt.Errorf("line %d: longer than %d bytes", n+1, longest)
	} else if err != nil {
		return nil, fmt.Errorf("after line %d: %w", n, err)
	}
	return c.finish()
}

func (c *collector) addLine(raw []byte) error {
	var l line
	if err := json.Unmarshal(raw, &l); err != nil {
		return err
	}
	if l.T == nil {
		return errors.New(`no "t", the seconds since the start`)
	}
	return c.add(Item{
		Mode:  or(l.Mode, ModeScroll),
		Size:  or(l.Size, defaultSize),
		Color: or(l.Color, defaultColor),
		User:  l.User,
		Text:  l.Text,
	}, *l.T)
}

func or(v *int, fallback int) int {
	if v == nil {
		return fallback
	}
	return *v
}
