package report

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// begin and end stand around the results in the page.
const (
	begin = "<!-- results: written by make bench -->\n"
	end   = "<!-- end of results -->\n"
)

// WritePage renews the results in benchmarks.md of a directory, and the charts in its
// directory images. What is around the results stays.
func (f *File) WritePage(dir string) error {
	page := filepath.Join(dir, "benchmarks.md")
	text, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	head, rest, ok := strings.Cut(string(text), begin)
	_, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		return fmt.Errorf("%s has no place for the results: put the lines %q and %q where they belong", page, strings.TrimSpace(begin), strings.TrimSpace(end))
	}
	charts := f.charts()
	var b strings.Builder
	b.WriteString(head + begin + "\n")
	for _, s := range f.Scenarios {
		if name := "bench-" + s.Name + ".svg"; charts[name] != "" {
			fmt.Fprintf(&b, "![%s](images/%s)\n", s.Name, name)
		}
	}
	b.WriteString("\n" + f.Tables() + "\n" + end + tail)
	if err := os.WriteFile(page, []byte(b.String()), 0o644); err != nil {
		return err
	}
	for name, svg := range charts {
		if err := os.WriteFile(filepath.Join(dir, "images", name), []byte(svg), 0o644); err != nil {
			return err
		}
	}
	return nil
}
