package replay

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// readXML reads a recording in Bilibili's format:
//
//	<i><d p="1.8,1,25,16777215,1297068467,0,f03dc29a,77">前方高能</d>…</i>
//
// The fields of p are time in seconds, mode, size, colour, date, pool, sender
// and row, and in newer files a ninth. Other elements and attributes are
// skipped, and so are control characters, which such files contain although
// XML forbids them. It returns what [Read] does. Errors name the line.
func readXML(r io.Reader, limits *Limits) ([]Item, error) {
	c := collector{limits: limits.withDefaults()}
	d := xml.NewDecoder(&controlFilter{r: newLimitReader(r, c.limits.Bytes)})
	if err := c.readDocument(d); err != nil {
		n, _ := d.InputPos()
		if _, ok := errors.AsType[*xml.SyntaxError](err); ok {
			return nil, err // names the line already
		}
		return nil, fmt.Errorf("line %d: %w", n, err)
	}
	return c.finish()
}

func (c *collector) readDocument(d *xml.Decoder) error {
	root := ""
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			if root == "" {
				return ErrEmpty
			}
			return nil
		}
		if err != nil {
			return err
		}
		start, ok := token.(xml.StartElement)
		switch {
		case !ok:
			continue
		case root == "":
			if root = start.Name.Local; root != "i" {
				return fmt.Errorf("the document is a <%.32s>: want <i>", root)
			}
		case start.Name.Local == "d":
			if err := c.addElement(d, start); err != nil {
				return err
			}
		default:
			if err := d.Skip(); err != nil {
				return err
			}
		}
	}
}

// addElement reads one <d> up to its end.
func (c *collector) addElement(d *xml.Decoder, start xml.StartElement) error {
	p := ""
	for _, a := range start.Attr {
		if a.Name.Local == "p" {
			p = a.Value
		}
	}
	var text strings.Builder
	for {
		token, err := d.Token()
		if err != nil {
			return err
		}
		switch t := token.(type) {
		case xml.CharData:
			text.Write(t)
		case xml.StartElement:
			if err := d.Skip(); err != nil {
				return err
			}
		case xml.EndElement:
			it, seconds, err := parseP(p)
			if err != nil {
				return err
			}
			it.Text = text.String()
			return c.add(it, seconds)
		}
	}
}

// parseP reads the attribute p of a <d>, all of a comment but its text.
func parseP(p string) (it Item, seconds float64, err error) {
	f := strings.Split(p, ",")
	if len(f) != 8 && len(f) != 9 {
		return it, 0, fmt.Errorf("p=%.64q has %d fields: want 8 or 9", p, len(f))
	}
	if seconds, err = strconv.ParseFloat(f[0], 64); err != nil {
		return it, 0, fmt.Errorf("p=%.64q: the time %.32q is no number", p, f[0])
	}
	for i, dst := range []*int{&it.Mode, &it.Size, &it.Color} {
		if *dst, err = strconv.Atoi(f[i+1]); err != nil {
			name := [...]string{"mode", "size", "colour"}[i]
			return it, 0, fmt.Errorf("p=%.64q: the %s %.32q is no number", p, name, f[i+1])
		}
	}
	it.User = f[6]
	return it, seconds, nil
}

// controlFilter drops the bytes below 0x20 that XML forbids.
type controlFilter struct{ r io.Reader }

func (f *controlFilter) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	kept := p[:0]
	for _, b := range p[:n] {
		if b >= 0x20 || b == '\t' || b == '\n' || b == '\r' {
			kept = append(kept, b)
		}
	}
	return len(kept), err
}
