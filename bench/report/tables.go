package report

import (
	"fmt"
	"strings"
)

// column is one of a table.
type column struct {
	head string
	cell func(*row) string
}

// Tables writes all tables as markdown.
func (f *File) Tables() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Measured on %s, %d cores, %s, %s, on %s", f.Host.CPU, f.Host.Cores, f.Host.Kernel, f.Host.Go, f.Host.Date)
	if f.Host.Commit != "" {
		fmt.Fprintf(&b, ", at %s", f.Host.Commit)
	}
	fmt.Fprintf(&b, ", with `%s`.\n", f.Host.Command)
	f.versions(&b)
	f.summary(&b)
	for _, s := range f.Scenarios {
		rows := f.rows(s)
		if len(rows) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n### %s\n\n%s\n\n", s.Name, s.About)
		table(&b, columns(s), rows)
	}
	return b.String()
}

func (f *File) versions(b *strings.Builder) {
	var all []string
	for _, peer := range f.Peers {
		if v := f.Versions[peer]; v != "" {
			all = append(all, fmt.Sprintf("%s: %s", escape(peer), v))
		}
	}
	if len(all) > 0 {
		fmt.Fprintf(b, "\n%s.\n", strings.Join(all, "; "))
	}
}

// summary is the costs of all scenarios that can be compared, as ratios.
func (f *File) summary(b *strings.Builder) {
	var names []string
	cells := map[string]map[string]string{}
	for _, s := range f.Scenarios {
		if s.Kind == Idle {
			continue
		}
		any := false
		for _, x := range f.rows(s) {
			if len(x.ratios) == 0 || x.sheds {
				continue
			}
			if cells[x.peer] == nil {
				cells[x.peer] = map[string]string{}
			}
			cells[x.peer][s.Name] = fmt.Sprintf("%.2f", median(x.ratios))
			any = true
		}
		if any {
			names = append(names, s.Name)
		}
	}
	if len(names) == 0 {
		return
	}
	fmt.Fprintf(b, "\n### Processor time of the server, in multiples of the %s\n\n| server | %s |\n|---|%s\n", f.Baseline, strings.Join(names, " | "), strings.Repeat("---|", len(names)))
	for _, peer := range f.Peers {
		if cells[peer] == nil {
			continue
		}
		fmt.Fprintf(b, "| %s |", escape(peer))
		for _, name := range names {
			cell := cells[peer][name]
			if cell == "" {
				cell = "–"
			}
			fmt.Fprintf(b, " %s |", cell)
		}
		b.WriteString("\n")
	}
}

func table(b *strings.Builder, columns []column, rows []row) {
	b.WriteString("| server |")
	for _, c := range columns {
		b.WriteString(" " + c.head + " |")
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(columns)) + "\n")
	for i := range rows {
		x := &rows[i]
		if len(x.runs) == 0 {
			reason, _, _ := strings.Cut(x.failed, "\n")
			fmt.Fprintf(b, "| %s | failed: %s |%s\n", escape(x.peer), strings.ReplaceAll(reason, "|", "/"), strings.Repeat(" |", len(columns)-1))
			continue
		}
		b.WriteString("| " + escape(x.peer))
		if x.runs[0].Plain > 0 {
			b.WriteString(" (declines compression)")
		}
		b.WriteString(" |")
		for _, c := range columns {
			b.WriteString(" " + c.cell(x) + " |")
		}
		b.WriteString("\n")
	}
}

// number makes a column of medians.
func number(head string, of func(Run) float64) column {
	return column{head, func(x *row) string { return figure(x.median(of)) }}
}

// ranged makes a column of medians with what they range over.
func ranged(head string, of func(Run) float64) column {
	return column{head, func(x *row) string { return spread(x.values(of), figure) }}
}

func columns(s Scenario) []column {
	unit := "µs per delivery"
	switch s.Kind {
	case Idle:
		return []column{
			ranged("bytes per session", func(r Run) float64 { return float64(r.Memory) / float64(r.Clients) }),
			number("goroutines per session", func(r Run) float64 { return float64(r.Goroutine) / float64(r.Clients) }),
			number("socket buffers, bytes", func(r Run) float64 { return max(0, float64(r.Sockets)) / float64(r.Clients) }),
			number("processor, ms/s", func(r Run) float64 { return millis(r.IdleCost) }),
		}
	case Joins:
		unit = "µs per join"
	case Publishes:
		unit = "µs per publication"
	}
	all := []column{
		number("user, "+unit, func(r Run) float64 { u, _ := costs(s, r); return u }),
		number("system", func(r Run) float64 { _, k := costs(s, r); return k }),
		ranged("total", func(r Run) float64 { return cost(s, r) }),
		{"ratio", func(x *row) string {
			if x.sheds {
				return "–"
			}
			return spread(x.ratios, func(v float64) string { return fmt.Sprintf("%.2f", v) })
		}},
	}
	if s.Kind == Joins {
		return append(all,
			ranged("joins/s", func(r Run) float64 { return per(uint64(r.Clients), r.JoinTime) }),
			number("bytes to each client", func(r Run) float64 { return float64(r.Bytes) / float64(r.Clients) }))
	}
	if s.Kind == Publishes {
		all = append(all, ranged("publications/s", func(r Run) float64 { return per(r.Published, r.Elapsed) }))
	}
	return append(all,
		ranged("deliveries/s", func(r Run) float64 { return per(r.Deliveries, r.Elapsed) }),
		number("p50, ms", func(r Run) float64 { return millis(r.P50) }),
		number("p99", func(r Run) float64 { return millis(r.P99) }),
		number("p99.9", func(r Run) float64 { return millis(r.P999) }),
		column{"lost", func(x *row) string { return x.lost() }},
		number("bytes on the wire", func(r Run) float64 { return float64(r.Bytes) / max(1, float64(r.Deliveries)) }),
	)
}

// lost says what has gone wrong in all runs together.
func (x *row) lost() string {
	var all Run
	for _, r := range x.runs {
		all.Missing += r.Missing
		all.Surplus += r.Surplus
		all.Doubles += r.Doubles
		all.Disordered += r.Disordered
		all.Gone += r.Gone
	}
	shed := ""
	if x.sheds && all.Missing > 0 {
		// Which ones are shown, and when, is its choice.
		all.Missing, all.Disordered = 0, 0
		shed = fmt.Sprintf("sheds %.0f %%", 100*x.median(Run.shed))
	}
	wrong := all.wrong()
	switch {
	case wrong == "" && shed != "":
		wrong = shed
	case wrong == "":
		wrong = "0"
	case shed != "":
		wrong = shed + ", " + wrong
	}
	if x.failed != "" {
		wrong += ", a run failed"
	}
	return wrong
}

// shed is the part of the deliveries that was left out by design.
func (r Run) shed() float64 {
	if r.Deliveries == 0 || r.Published == 0 {
		return 0
	}
	return max(0, 1-float64(r.Deliveries)/float64(r.Published)/float64(r.Clients))
}
