//go:build linux

package storage

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// File is all that one call of the command has measured.
type File struct {
	Host      Host              `json:"host"`
	Versions  map[string]string `json:"versions"` // of modules
	Scenarios []Scenario        `json:"scenarios"`
	Results   []Result          `json:"results"`
}

// Host is what it was measured on.
type Host struct {
	Date    string `json:"date"`
	Command string `json:"command"`
	Commit  string `json:"commit"`
	CPU     string `json:"cpu"`
	Cores   int    `json:"cores"`
	Kernel  string `json:"kernel"`
	Go      string `json:"go"`
	Disk    string `json:"disk"` // the file system and its device
}

// Scenario is what a table is of.
type Scenario struct {
	Name    string   `json:"name"`
	About   string   `json:"about"`   // sentences
	Columns []string `json:"columns"` // names of values, in order
	Chart   string   `json:"chart"`   // the column that is drawn; empty: none
	Title   string   `json:"title"`   // of the chart
}

// Result is what one round has found about one store.
type Result struct {
	Scenario string             `json:"scenario"`
	Peer     string             `json:"peer"`
	Round    int                `json:"round"`
	Values   map[string]float64 `json:"values,omitempty"` // by column
	Error    string             `json:"error,omitempty"`
}

// Line is a result in one line, for those who wait.
func (r Result) Line() string {
	head := fmt.Sprintf("%-16s %d  %-36s ", r.Scenario, r.Round+1, r.Peer)
	if r.Error != "" {
		return head + "failed: " + r.Error
	}
	var all []string
	for name, v := range r.Values {
		all = append(all, name+": "+figure(v))
	}
	slices.Sort(all)
	return head + strings.Join(all, "; ")
}

// Read reads a file that Write wrote.
func Read(name string) (*File, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	f := &File{}
	return f, json.Unmarshal(b, f)
}

// Write keeps the file.
func (f *File) Write(name string) error {
	b, err := json.MarshalIndent(f, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(name, append(b, '\n'), 0o644)
}

// Merge adds what a later call has measured. Of a scenario with a store that both have, the later one counts.
func (f *File) Merge(later *File) {
	type row struct{ scenario, peer string }
	newer := map[row]bool{}
	for _, r := range later.Results {
		newer[row{r.Scenario, r.Peer}] = true
	}
	f.Results = slices.DeleteFunc(f.Results, func(r Result) bool { return newer[row{r.Scenario, r.Peer}] })
	f.Results = append(f.Results, later.Results...)
	f.Host, f.Versions = later.Host, later.Versions
	for _, s := range later.Scenarios {
		i := slices.IndexFunc(f.Scenarios, func(o Scenario) bool { return o.Name == s.Name })
		if i >= 0 {
			f.Scenarios[i] = s
		} else {
			f.Scenarios = append(f.Scenarios, s)
		}
	}
}

// peers are those that have results of a scenario, in the order of the tables.
func (f *File) peers(scenario string) (all []string) {
	for _, r := range f.Results {
		if r.Scenario == scenario && !slices.Contains(all, r.Peer) {
			all = append(all, r.Peer)
		}
	}
	return all
}

// values are those of all rounds, and why a round has none.
func (f *File) values(scenario, peer, column string) (all []float64, failed string) {
	for _, r := range f.Results {
		if r.Scenario != scenario || r.Peer != peer {
			continue
		}
		if v, ok := r.Values[column]; ok {
			all = append(all, v)
		} else if r.Error != "" {
			failed = r.Error
		}
	}
	return all, failed
}

// Tables writes all tables as markdown.
func (f *File) Tables() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Measured on %s, %d cores, %s, %s, %s, on %s, at %s, with `%s`.\n",
		f.Host.CPU, f.Host.Cores, f.Host.Disk, f.Host.Kernel, f.Host.Go, f.Host.Date, f.Host.Commit, f.Host.Command)
	var versions []string
	for module, v := range f.Versions {
		versions = append(versions, module+" "+v)
	}
	slices.Sort(versions)
	if len(versions) > 0 {
		fmt.Fprintf(&b, "%s.\n", strings.Join(versions, ", "))
	}
	for _, s := range f.Scenarios {
		fmt.Fprintf(&b, "\n### %s\n\n%s\n\n| | %s |\n|---|%s\n", s.Name, s.About, strings.Join(s.Columns, " | "), strings.Repeat("---|", len(s.Columns)))
		for _, peer := range f.peers(s.Name) {
			cells := []string{peer}
			why := ""
			for _, c := range s.Columns {
				v, failed := f.values(s.Name, peer, c)
				cells = append(cells, spread(v))
				why = failed
			}
			if why != "" {
				cells[0] += " (a round failed: " + why + ")"
			}
			fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | "))
		}
	}
	return b.String()
}

// begin and end stand around the results in the page.
const (
	begin = "<!-- results: written by make bench -->\n"
	end   = "<!-- end of results -->\n"
)

// WritePage renews the results in storage-benchmarks.md of a directory, and the charts in its directory images. What is
// around the results stays.
func (f *File) WritePage(dir string) error {
	page := filepath.Join(dir, "storage-benchmarks.md")
	text, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	head, rest, ok := strings.Cut(string(text), begin)
	_, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		return fmt.Errorf("%s has no place for the results: put the lines %q and %q where they belong", page, strings.TrimSpace(begin), strings.TrimSpace(end))
	}
	var b strings.Builder
	b.WriteString(head + begin + "\n")
	for _, s := range f.Scenarios {
		svg := f.chart(s)
		if svg == "" {
			continue
		}
		name := "bench-" + s.Name + ".svg"
		fmt.Fprintf(&b, "![%s](images/%s)\n", s.Title, name)
		if err := os.WriteFile(filepath.Join(dir, "images", name), []byte(svg), 0o644); err != nil {
			return err
		}
	}
	b.WriteString("\n" + f.Tables() + "\n" + end + tail)
	return os.WriteFile(page, []byte(b.String()), 0o644)
}
