//go:build linux

package storage

import (
	"fmt"
	"slices"
	"strings"
)

// median is the middle value, the mean of both middle ones if there are two; 0 of none.
func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	v = slices.Sorted(slices.Values(v))
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

// spread writes a median and, of several values, the least and the greatest.
func spread(v []float64) string {
	switch len(v) {
	case 0:
		return "–"
	case 1:
		return figure(v[0])
	}
	return fmt.Sprintf("%s (%s–%s)", figure(median(v)), figure(slices.Min(v)), figure(slices.Max(v)))
}

// figure writes a number with about three digits that matter, and commas.
func figure(v float64) string {
	switch {
	case v == 0:
		return "0"
	case v < 10:
		return fmt.Sprintf("%.2f", v)
	case v < 100:
		return fmt.Sprintf("%.1f", v)
	}
	s := fmt.Sprintf("%.0f", v)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// chart draws one column of a scenario as horizontal bars. It is empty if there is nothing to draw.
func (f *File) chart(s Scenario) string {
	const left, right, top, height, width = 270, 90, 44, 26, 760
	most := 0.0
	peers := f.peers(s.Name)
	value := func(peer string) float64 {
		v, _ := f.values(s.Name, peer, s.Chart)
		return median(v)
	}
	peers = slices.DeleteFunc(peers, func(p string) bool { return value(p) == 0 })
	for _, p := range peers {
		most = max(most, value(p))
	}
	if s.Chart == "" || most == 0 {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`, width, top+height*len(peers)+16)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="#fff"/><text x="16" y="24" font-size="16" font-weight="bold">%s</text>`, escape(s.Title))
	for i, p := range peers {
		y, v, weight := top+height*i, value(p), ""
		if strings.HasPrefix(p, "filelog") {
			weight = ` font-weight="bold"`
		}
		w := v / most * (width - left - right)
		fmt.Fprintf(&b, "\n"+`<text x="%d" y="%d" text-anchor="end"%s>%s</text>`, left-8, y+15, weight, escape(p))
		fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="#2563eb"/>`, left, y+2, w, height-8)
		fmt.Fprintf(&b, `<text x="%.1f" y="%d">%s</text>`, left+w+6, y+15, figure(v))
	}
	b.WriteString("\n</svg>\n")
	return b.String()
}

func escape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
}
