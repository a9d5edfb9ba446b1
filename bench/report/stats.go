package report

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// row is one peer in one scenario.
type row struct {
	peer   string
	runs   []Run     // that have not failed, by round
	ratios []float64 // of the cost, to that of the baseline in the same round
	failed string    // why a run has
	sheds  bool
}

// rows collects the peers of a scenario, in their order.
func (f *File) rows(s Scenario) (all []row) {
	baseline := map[int]float64{}
	for _, r := range f.Runs {
		if r.Scenario == s.Name && r.Peer == f.Baseline && r.Error == "" {
			baseline[r.Round] = cost(s, r)
		}
	}
	for _, peer := range f.Peers {
		x := row{peer: peer, sheds: slices.Contains(f.Sheds, peer)}
		for _, r := range f.Runs {
			switch {
			case r.Scenario != s.Name || r.Peer != peer:
			case r.Error != "":
				x.failed = r.Error
			default:
				x.runs = append(x.runs, r)
				if b := baseline[r.Round]; b > 0 {
					x.ratios = append(x.ratios, cost(s, r)/b)
				}
			}
		}
		if len(x.runs) > 0 || x.failed != "" {
			all = append(all, x)
		}
	}
	return all
}

// cost is the processor time of the server for a delivery, a publication or a join, in
// microseconds.
func cost(s Scenario, r Run) float64 {
	user, system := costs(s, r)
	return user + system
}

func costs(s Scenario, r Run) (user, system float64) {
	n, u, k := float64(r.Deliveries), r.User, r.System
	switch s.Kind {
	case Publishes:
		n = float64(r.Published)
	case Joins:
		n, u, k = float64(r.Clients), r.JoinUser, r.JoinSys
	}
	if n == 0 {
		return 0, 0
	}
	return micros(u) / n, micros(k) / n
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// per is n in a second.
func per(n uint64, d time.Duration) float64 {
	if d == 0 {
		return 0
	}
	return float64(n) / d.Seconds()
}

// values are those of all runs.
func (x *row) values(of func(Run) float64) []float64 {
	v := make([]float64, len(x.runs))
	for i, r := range x.runs {
		v[i] = of(r)
	}
	return v
}

func (x *row) median(of func(Run) float64) float64 { return median(x.values(of)) }

// median is the middle value, the mean of both middle ones if there are two; 0 of none.
func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	v = slices.Sorted(slices.Values(v))
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

// spread writes a median and, of several values, the least and the greatest.
func spread(v []float64, format func(float64) string) string {
	if len(v) == 0 {
		return "–"
	}
	if len(v) == 1 {
		return format(v[0])
	}
	return fmt.Sprintf("%s (%s–%s)", format(median(v)), format(slices.Min(v)), format(slices.Max(v)))
}

// figure writes a number with about three digits that matter.
func figure(v float64) string {
	switch {
	case v >= 100:
		return thousands(v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// thousands writes a whole number with commas.
func thousands(v float64) string {
	s := fmt.Sprintf("%.0f", v)
	sign := ""
	if strings.HasPrefix(s, "-") {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}

// Line is a run in one line, for those who wait.
func (r Run) Line() string {
	head := fmt.Sprintf("%-15s %d  %-28s ", r.Scenario, r.Round+1, r.Peer)
	if r.Error != "" {
		return head + "failed: " + r.Error
	}
	var all []string
	if n := float64(r.Deliveries); n > 0 {
		all = append(all, fmt.Sprintf("%6.2f µs/delivery (user %.2f), %s/s, p50 %.1f p99 %.1f ms, %.0f B/delivery, clients %.2f µs",
			micros(r.User+r.System)/n, micros(r.User)/n, thousands(per(r.Deliveries, r.Elapsed)), millis(r.P50), millis(r.P99), float64(r.Bytes)/n, micros(r.Clientside)/n))
	}
	if r.Memory > 0 {
		all = append(all, fmt.Sprintf("%s B/session, %.2f goroutines", thousands(float64(r.Memory)/float64(r.Clients)), float64(r.Goroutine)/float64(r.Clients)))
	}
	all = append(all, fmt.Sprintf("%s joins/s, %.0f µs each", thousands(per(uint64(r.Clients), r.JoinTime)), micros(r.JoinUser+r.JoinSys)/float64(r.Clients)))
	if r.IdleCost > 0 {
		all = append(all, fmt.Sprintf("idle %.1f ms/s", millis(r.IdleCost)))
	}
	if wrong := r.wrong(); wrong != "" {
		all = append(all, wrong)
	}
	return head + strings.Join(all, "; ")
}

// wrong says what should not have happened.
func (r Run) wrong() string {
	var all []string
	for _, n := range []struct {
		n    uint64
		what string
	}{
		{r.Missing, "missing"}, {r.Surplus, "too many"}, {r.Doubles, "doubles"}, {r.Disordered, "out of order"},
		{uint64(r.Gone), "connections lost"}, {uint64(r.Plain), "clients without compression"},
	} {
		if n.n > 0 {
			all = append(all, thousands(float64(n.n))+" "+n.what)
		}
	}
	return strings.Join(all, ", ")
}
