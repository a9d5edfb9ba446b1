package recording

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/liveim/im"
)

var errNewest = errors.New("recording: HistoryQuery.Newest must not be set: a file begins with the oldest event")

// line is one line of either shape.
type line struct {
	Epoch string          `json:"epoch,omitempty"`
	Seq   uint64          `json:"seq,omitempty"`
	ID    string          `json:"id,omitempty"`
	Kind  im.Kind         `json:"kind,omitempty"`
	At    *int64          `json:"at,omitempty"`
	From  *im.Author      `json:"from,omitempty"`
	N     int             `json:"n,omitempty"`
	Body  json.RawMessage `json:"body,omitempty"`

	T     *float64 `json:"t,omitempty"`
	Sent  int64    `json:"sent,omitempty"`
	Mode  *int     `json:"mode,omitempty"`
	Size  *int     `json:"size,omitempty"`
	Color *int     `json:"color,omitempty"`
	User  string   `json:"user,omitempty"`
	Text  string   `json:"text,omitempty"`
}

// WriteJSONLines writes the events of a room that q selects, one a line, and returns how many they
// are. It holds one page at a time, of q.Max events (500 by default), so a recording of any length takes
// little memory. q.Newest must not be set. An error that wraps im.ErrGap means that
// events were dropped by the log's retention faster than w took them.
//
// Times are written to the millisecond, which is all that a log promises to keep.
func WriteJSONLines(ctx context.Context, w io.Writer, room *im.Room, q im.HistoryQuery) (n int, err error) {
	if err := checkQuery(&q); err != nil {
		return 0, err
	}
	out := bufio.NewWriter(w)
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	for page, err := range room.Pages(ctx, q) {
		if err != nil {
			return n, fmt.Errorf("recording: after %d events: %w", n, err)
		}
		for _, e := range page.Events {
			if err := enc.Encode(lineOf(e)); err != nil {
				return n, fmt.Errorf("recording: write event %s: %w", e.ID, err)
			}
			n++
		}
	}
	if err := out.Flush(); err != nil {
		return n, fmt.Errorf("recording: write: %w", err)
	}
	return n, nil
}

func lineOf(e *im.Event) *line {
	at := e.At.UnixMilli()
	l := &line{Epoch: e.Pos.Epoch, Seq: e.Pos.Seq, ID: e.ID, Kind: e.Kind, At: &at, Body: e.Body}
	if e.From.ID != "" {
		l.From = &e.From
	}
	if e.N > 1 {
		l.N = e.N
	}
	return l
}

// lineReader reads JSON Lines.
type lineReader struct {
	scanner *bufio.Scanner
	longest int
	n       int // of the last line
}

func newLineReader(r io.Reader, longest int) *lineReader {
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 0, min(longest, 64<<10)), longest)
	return &lineReader{scanner: s, longest: longest}
}

// next returns the next line that is not blank, and nil at the end. Errors name the line.
func (r *lineReader) next() (*line, error) {
	for r.scanner.Scan() {
		r.n++
		raw := trimBlank(r.scanner.Bytes())
		if len(raw) == 0 {
			continue
		}
		l := &line{}
		if err := json.Unmarshal(raw, l); err != nil {
			return nil, lineError(r.n, err)
		}
		if err := l.check(); err != nil {
			return nil, lineError(r.n, err)
		}
		return l, nil
	}
	if err := r.scanner.Err(); errors.Is(err, bufio.ErrTooLong) {
		return nil, lineError(r.n+1, fmt.Errorf("longer than %d bytes; Options.Longest allows more", r.longest))
	} else if err != nil {
		return nil, fmt.Errorf("after line %d: %w", r.n, err)
	}
	return nil, nil
}

func lineError(n int, err error) error { return fmt.Errorf("line %d: %w", n, err) }

func (l *line) check() error {
	switch {
	case l.T != nil:
		return nil
	case l.ID == "" || l.Kind == "" || l.At == nil:
		return errors.New(`want "id", "kind" and "at" of an event, or "t" and "text" of a danmaku`)
	}
	return nil
}

// event returns a line of an event.
func (l *line) event() *im.Event {
	e := &im.Event{ID: l.ID, Kind: l.Kind, At: time.UnixMilli(*l.At), N: l.N, Body: l.Body}
	if l.From != nil {
		e.From = *l.From
	}
	return e
}

// comment returns a line of a danmaku.
func (l *line) comment() comment {
	return comment{
		seconds: *l.T, mode: or(l.Mode, modeScroll), size: or(l.Size, sizeNormal), color: or(l.Color, white),
		sent: l.Sent, user: l.User, text: l.Text,
	}
}

func or(v *int, fallback int) int {
	if v == nil {
		return fallback
	}
	return *v
}
