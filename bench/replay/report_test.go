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
	b.WriteString(`| recording | speed | limits | offered/s | shown/s | merged/s | shed/s | refused/s | most in any second | Jain (senders) | distinct texts/s | of min(budget, offered) | drop newest, 40/s | sample, 40/s | sample, 50/s |
|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|
`)
	for i, r := range runs {
		x := results[i]
		jain := "–"
		if x.jain > 0 {
			jain = fmt.Sprintf("%.2f (%d)", x.jain, x.senders)
		}
		limits := "off"
		if r.limited {
			limits = "on"
		}
		fmt.Fprintf(&b, "| %s | %g× | %s | %.1f | %.1f | %.1f | %.1f | %.1f | %d | %s | %.1f | %.2f | %.1f | %.1f | %.1f |\n",
			r.name, r.speed, limits, x.offered, x.shown, x.merged, x.shed, x.refused, x.most, jain, x.distinct, x.distinct/x.goal, x.newest, x.sample, x.fair)
	}
	for name, content := range map[string]string{"flow-control-table.md": b.String(), "flow-control.svg": chart(runs, results)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
