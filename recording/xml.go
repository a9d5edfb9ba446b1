package recording

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/liveim/im"
)

// XMLOptions are the optional parts of [WriteXML]. The zero value is good.
type XMLOptions struct {
	// Start is when the picture began; events before it are left out. Defaults to
	// HistoryQuery.From or else the first event's time.
	Start time.Time
	// Key makes the hashes that stand for senders, so that one sender has the same in several files. Without it
	// each file has a random key, and nobody can tell who is behind a hash or compare files.
	Key []byte
}

// WriteXML writes the danmaku of a room that q selects in the format of Bilibili, and returns how many they
// are. q.Kinds defaults to im.Danmaku; events of other kinds are written if they have a text. Ids of users are
// hashed under a key, control characters are dropped, and times are relative to the start.
// It is otherwise like [WriteJSONLines]. o may be nil.
func WriteXML(ctx context.Context, w io.Writer, room *im.Room, q im.HistoryQuery, o *XMLOptions) (n int, err error) {
	if err := checkQuery(&q); err != nil {
		return 0, err
	}
	x := xmlWriter{out: bufio.NewWriter(w), start: q.From}
	if o != nil {
		x.key = o.Key
		if !o.Start.IsZero() {
			x.start = o.Start
		}
	}
	if x.key == nil {
		x.key = make([]byte, 32)
		rand.Read(x.key)
	}
	if len(q.Kinds) == 0 {
		q.Kinds = []im.Kind{im.Danmaku}
	}
	// Errors of a bufio.Writer stay until Flush, which tells them.
	_, _ = x.out.WriteString(`<?xml version="1.0" encoding="UTF-8"?>` + "\n<i><chatserver>im</chatserver><chatid>0</chatid>" +
		"<mission>0</mission><maxlimit>0</maxlimit><state>0</state><real_name>0</real_name><source>k-v</source>\n")
	for page, err := range room.Pages(ctx, q) {
		if err != nil {
			return x.n, fmt.Errorf("recording: after %d danmaku: %w", x.n, err)
		}
		for _, e := range page.Events {
			x.write(e)
		}
		if err := x.out.Flush(); err != nil {
			return x.n, fmt.Errorf("recording: write: %w", err)
		}
	}
	_, _ = x.out.WriteString("</i>\n")
	if err := x.out.Flush(); err != nil {
		return x.n, fmt.Errorf("recording: write: %w", err)
	}
	return x.n, nil
}

type xmlWriter struct {
	out   *bufio.Writer
	start time.Time
	key   []byte
	n     int
}

func (x *xmlWriter) write(e *im.Event) {
	if x.start.IsZero() {
		x.start = e.At
	}
	c, ok := commentOf(e)
	if !ok || e.At.Before(x.start) {
		return
	}
	at := e.At.Sub(x.start).Milliseconds()
	_, _ = fmt.Fprintf(x.out, `<d p="%d.%03d,%d,%d,%d,%d,0,%s,%d">`, at/1000, at%1000, c.mode, c.size, c.color, e.At.Unix(), x.hash(c.user), e.Pos.Seq)
	_, _ = x.out.WriteString(escape(c.text))
	_, _ = x.out.WriteString("</d>\n")
	x.n++
}

// hash stands for a sender.
func (x *xmlWriter) hash(user string) string {
	if user == "" {
		return "0"
	}
	mac := hmac.New(sha256.New, x.key)
	_, _ = mac.Write([]byte(user)) // a hash takes everything
	return hex.EncodeToString(mac.Sum(nil)[:8])
}

// escape is a text as XML has it, without what XML forbids.
func escape(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case r == '&':
			b.WriteString("&amp;")
		case r == '<':
			b.WriteString("&lt;")
		case r == '>':
			b.WriteString("&gt;")
		case r == '\n' || r == '\t' || r == '\r':
			fmt.Fprintf(&b, "&#%d;", r)
		case r >= ' ' && r != 0x7f && r != utf8.RuneError && r != 0xfffe && r != 0xffff && (r < 0x80 || r > 0x9f):
			b.WriteRune(r)
		}
	}
	return b.String()
}

// xmlReader reads comments from XML.
type xmlReader struct {
	decoder *xml.Decoder
	source  *xmlSource
	depth   int
}

func newXMLReader(r io.Reader, longest int) *xmlReader {
	source := &xmlSource{in: bufio.NewReader(r), most: longest, left: longest}
	return &xmlReader{decoder: xml.NewDecoder(source), source: source}
}

func (r *xmlReader) line() int {
	n, _ := r.decoder.InputPos()
	return n
}

// next returns the next comment, and false at the end. Errors name the line.
func (r *xmlReader) next() (c comment, ok bool, err error) {
	c, ok, err = r.read()
	if err != nil {
		if _, named := errors.AsType[*xml.SyntaxError](err); !named {
			err = lineError(r.line(), err)
		}
	}
	return c, ok, err
}

func (r *xmlReader) read() (c comment, ok bool, err error) {
	for {
		token, err := r.token()
		if errors.Is(err, io.EOF) {
			return c, false, nil
		}
		if err != nil {
			return c, false, err
		}
		start, isStart := token.(xml.StartElement)
		switch {
		case !isStart:
		case r.depth == 1 && start.Name.Local != "i":
			return c, false, fmt.Errorf("the document is a <%.32s>: want <i>", start.Name.Local)
		case r.depth > 1 && start.Name.Local == "d":
			c, err := r.element(start)
			return c, err == nil, err
		}
	}
}

// maxDepth bounds the nesting: a recording has two levels.
const maxDepth = 16

// token returns the next part of the document. What a decoder could be made to spend
// much on is refused: deep nesting, long parts, and declarations of entities.
func (r *xmlReader) token() (xml.Token, error) {
	r.source.left = r.source.most
	token, err := r.decoder.Token()
	if err != nil {
		return nil, err
	}
	switch token.(type) {
	case xml.StartElement:
		if r.depth++; r.depth > maxDepth {
			return nil, fmt.Errorf("nested deeper than %d levels", maxDepth)
		}
	case xml.EndElement:
		r.depth--
	case xml.Directive:
		return nil, errors.New("the document has a DTD or another declaration: remove it")
	}
	return token, nil
}

// element reads one <d> up to its end.
func (r *xmlReader) element(start xml.StartElement) (c comment, err error) {
	level := r.depth
	p := ""
	for _, a := range start.Attr {
		if a.Name.Local == "p" {
			p = a.Value
		}
	}
	c, err = parseP(p)
	if err != nil {
		return c, err
	}
	c.line = r.line()
	var text strings.Builder
	for {
		token, err := r.token()
		if err != nil {
			return c, err
		}
		switch t := token.(type) {
		case xml.CharData:
			if r.depth == level {
				text.Write(t)
			}
			if text.Len() > r.source.most {
				return c, fmt.Errorf("a text of more than %d bytes; Options.Longest allows more", r.source.most)
			}
		case xml.EndElement:
			if r.depth < level {
				c.text = text.String()
				return c, c.check()
			}
		}
	}
}

// parseP reads the attribute p of a <d>, all of a comment but its text.
func parseP(p string) (c comment, err error) {
	f := strings.Split(p, ",")
	if len(f) != 8 && len(f) != 9 {
		return c, fmt.Errorf("p=%.64q has %d fields: want 8 or 9", p, len(f))
	}
	if c.seconds, err = strconv.ParseFloat(f[0], 64); err != nil {
		return c, fmt.Errorf("p=%.64q: the time %.32q is no number", p, f[0])
	}
	for i, to := range []*int{&c.mode, &c.size, &c.color} {
		if *to, err = strconv.Atoi(f[i+1]); err != nil {
			name := [...]string{"mode", "size", "colour"}[i]
			return c, fmt.Errorf("p=%.64q: the %s %.32q is no number", p, name, f[i+1])
		}
	}
	if c.sent, err = strconv.ParseInt(f[4], 10, 64); err != nil {
		return c, fmt.Errorf("p=%.64q: the time of sending %.32q is no number", p, f[4])
	}
	c.pool, c.row = f[5], f[7]
	if f[6] != "0" {
		c.user = f[6]
	}
	return c, nil
}

// xmlSource drops the control characters that XML forbids and real files have, and bounds what is read
// for one part of the document. It reads byte by byte so that the decoder reads nothing ahead.
type xmlSource struct {
	in         *bufio.Reader
	most, left int
}

func (s *xmlSource) ReadByte() (byte, error) {
	for {
		if s.left <= 0 {
			return 0, fmt.Errorf("a part of more than %d bytes; Options.Longest allows more", s.most)
		}
		b, err := s.in.ReadByte()
		if err != nil {
			return 0, err
		}
		s.left--
		if b >= ' ' || b == '\t' || b == '\n' || b == '\r' {
			return b, nil
		}
	}
}

// Read is for the type alone: a decoder that is given a ByteReader uses nothing else.
func (s *xmlSource) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	b, err := s.ReadByte()
	if err != nil {
		return 0, err
	}
	p[0] = b
	return 1, nil
}
