package replay

import (
	"fmt"
	"strings"
)

// chart draws, for each run, how many distinct texts a second its viewers were
// shown, beside what the baselines show and what there was.
func chart(runs []*run, results []result) string {
	const (
		left, top      = 60, 70
		group, bar     = 74, 13
		height, bottom = 260, 70
		scale          = 60.0 // texts a second at the top
	)
	series := []struct {
		name, color string
		value       func(result) float64
	}{
		{"flow control", "#2563eb", func(r result) float64 { return r.distinct }},
		{"uniform sample, 40/s", "#f59e0b", func(r result) float64 { return r.sample }},
		{"drop the newest, 40/s", "#9ca3af", func(r result) float64 { return r.newest }},
	}
	type column struct {
		run *run
		res result
	}
	var columns []column
	for i, r := range runs {
		if !r.limited && r.speed > 1 {
			columns = append(columns, column{r, results[i]})
		}
	}
	width := left + group*len(columns) + 30
	y := func(v float64) float64 { return top + height*(1-min(v, scale)/scale) }
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`, width, top+height+bottom)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="#fff"/><text x="%d" y="24" font-size="16" font-weight="bold">Distinct texts a second that reach viewers</text>`, left)
	for i, s := range series {
		fmt.Fprintf(&b, `<rect x="%d" y="38" width="12" height="12" fill="%s"/><text x="%d" y="49">%s</text>`, left+170*i, s.color, left+170*i+18, s.name)
	}
	fmt.Fprintf(&b, `<path d="M%d 44h16" stroke="#dc2626" stroke-width="2"/><text x="%d" y="49">min(budget, offered)</text>`, left+170*3, left+170*3+22)
	for v := 0.0; v <= scale; v += 10 {
		fmt.Fprintf(&b, `<path d="M%d %.1fH%d" stroke="#e5e7eb"/><text x="%d" y="%.1f" text-anchor="end">%.0f</text>`, left, y(v), width-20, left-8, y(v)+4, v)
	}
	for i, c := range columns {
		x := left + group*i + 12
		for j, s := range series {
			v := s.value(c.res)
			fmt.Fprintf(&b, `<rect x="%d" y="%.1f" width="%d" height="%.1f" fill="%s"/>`, x+j*(bar+2), y(v), bar, top+height-y(v), s.color)
		}
		fmt.Fprintf(&b, `<path d="M%d %.1fh%d" stroke="#dc2626" stroke-width="2"/>`, x-3, y(c.res.goal), 3*(bar+2)+4)
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="middle">%gx</text>`, x+22, top+height+18, c.run.speed)
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="middle" fill="#6b7280">%.0f/s</text>`, x+22, top+height+34, c.res.offered)
		if c.run.speed == 50 {
			fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="middle" font-weight="bold">%s</text>`, x+22, top+height+54, c.run.name)
		}
	}
	b.WriteString("</svg>\n")
	return b.String()
}
