package report

import (
	"fmt"
	"strings"
)

// bars is a chart of horizontal bars.
type bars struct {
	title string
	unit  string
	parts []part
	rows  []bar
}

// part is a part of each bar, or all of it.
type part struct{ name, color string }

type bar struct {
	name   string
	values []float64 // of the parts
	strong bool
}

const (
	blue = "#2563eb"
	pale = "#93c5fd"
)

// charts returns the charts by file name, without those that have no data.
func (f *File) charts() map[string]string {
	all := map[string]string{}
	time := []part{{"user", blue}, {"system", pale}}
	one := []part{{"", blue}}
	for _, s := range f.Scenarios {
		rows := f.rows(s)
		c := bars{parts: one}
		var values func(x *row) []float64
		switch s.Name {
		case "viewers-1000", "storm":
			c.title, c.unit, c.parts = "Processor time of the server for a delivery: "+s.Name, "µs", time
			values = func(x *row) []float64 {
				return []float64{
					x.median(func(r Run) float64 { u, _ := costs(s, r); return u }),
					x.median(func(r Run) float64 { _, k := costs(s, r); return k }),
				}
			}
		case "saturation":
			c.title, c.unit = "Deliveries a second on one core", ""
			values = func(x *row) []float64 {
				return []float64{x.median(func(r Run) float64 { return per(r.Deliveries, r.Elapsed) })}
			}
		case "idle":
			c.title, c.unit = "Memory of an idle session", "bytes"
			values = func(x *row) []float64 {
				return []float64{x.median(func(r Run) float64 { return float64(r.Memory) / float64(r.Clients) })}
			}
		case "joins":
			c.title, c.unit = "Joins a second", ""
			values = func(x *row) []float64 {
				return []float64{x.median(func(r Run) float64 { return per(uint64(r.Clients), r.JoinTime) })}
			}
		default:
			continue
		}
		for i := range rows {
			if x := &rows[i]; len(x.runs) > 0 && !x.sheds {
				c.rows = append(c.rows, bar{x.peer, values(x), strings.HasPrefix(x.peer, "im")})
			}
		}
		if len(c.rows) > 0 {
			all["bench-"+s.Name+".svg"] = c.svg()
		}
	}
	return all
}

func (c *bars) svg() string {
	const left, right, top, height, width = 230, 90, 64, 26, 760
	most := 0.0
	for _, r := range c.rows {
		most = max(most, sum(r.values))
	}
	var b strings.Builder
	total := top + height*len(c.rows) + 16
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`, width, total)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="#fff"/><text x="16" y="24" font-size="16" font-weight="bold">%s</text>`, escape(c.title))
	for i, p := range c.parts {
		if p.name != "" {
			fmt.Fprintf(&b, `<rect x="%d" y="38" width="12" height="12" fill="%s"/><text x="%d" y="49">%s</text>`, left+90*i, p.color, left+90*i+18, p.name)
		}
	}
	for i, r := range c.rows {
		y, x := top+height*i, float64(left)
		weight := ""
		if r.strong {
			weight = ` font-weight="bold"`
		}
		fmt.Fprintf(&b, "\n"+`<text x="%d" y="%d" text-anchor="end"%s>%s</text>`, left-8, y+15, weight, escape(r.name))
		for j, v := range r.values {
			w := 0.0
			if most > 0 {
				w = max(0, v) / most * (width - left - right)
			}
			fmt.Fprintf(&b, `<rect x="%.1f" y="%d" width="%.1f" height="%d" fill="%s"/>`, x, y+2, w, height-8, c.parts[j].color)
			x += w
		}
		fmt.Fprintf(&b, `<text x="%.1f" y="%d">%s</text>`, x+6, y+15, strings.TrimSpace(figure(sum(r.values))+" "+c.unit))
	}
	b.WriteString("\n</svg>\n")
	return b.String()
}

func sum(v []float64) (s float64) {
	for _, x := range v {
		s += x
	}
	return s
}

func escape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
}
