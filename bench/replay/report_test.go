package replay

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// write makes the report.
func write(t *testing.T, dir string, runs []*run, results []result) {
	var b strings.Builder
	b.WriteString(`| recording | speed | limits | offered/s | shown/s | merged/s | shed/s | refused/s | most in any second | Jain, contended (senders) | distinct/s | of min(budget, offered) | newest, 40/s | sample, 40/s | sample, 50/s |
|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|
`)
	for i, r := range runs {
		x := results[i]
		jain := "–"
		if x.jain > 0 {
			jain = fmt.Sprintf("%.2f, %.2f (%d)", x.jain, x.contended, x.senders)
		}
		limits := "off"
		if r.limited {
			limits = "on"
		}
		fmt.Fprintf(&b, "| %s | %g× | %s | %.1f | %.1f | %.1f | %.1f | %.1f | %d | %s | %.1f | %.2f | %.1f | %.1f | %.1f |\n",
			r.name, r.speed, limits, x.offered, x.shown, x.merged, x.shed, x.refused, x.most, jain, x.distinct, x.distinct/x.goal, x.newest, x.sample, x.fair)
	}
	page := filepath.Join(dir, "flow-control.md")
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(text), begin)
	_, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the table", page)
	}
	for name, content := range map[string]string{page: head + begin + b.String() + end + tail, filepath.Join(dir, "images", "flow-control.svg"): chart(runs, results)} {
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// begin and end stand around the table in the page.
const (
	begin = "<!-- table: written by make replay -->\n"
	end   = "<!-- end of table -->\n"
)
