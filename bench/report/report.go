// Package report turns what the comparison has measured into the tables and charts of
// docs/benchmarks.md.
package report

import (
	"encoding/json"
	"os"
	"time"
)

// File is all that one call of the command has measured, as bin/bench-fanout.json keeps it.
type File struct {
	Host      Host              `json:"host"`
	Scenarios []Scenario        `json:"scenarios"`
	Peers     []string          `json:"peers"`    // in the order of the tables
	Baseline  string            `json:"baseline"` // the peer whose cost is 1
	Sheds     []string          `json:"sheds,omitempty"`
	Versions  map[string]string `json:"versions"` // of the peers' modules, by peer
	Runs      []Run             `json:"runs"`
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
}

// Scenario is what a table is of.
type Scenario struct {
	Name  string `json:"name"`
	Kind  Kind   `json:"kind"`
	About string `json:"about"` // a sentence
}

// Kind says which columns a scenario has.
type Kind string

// The kinds.
const (
	Rate       Kind = "rate"
	Saturation Kind = "saturation"
	Idle       Kind = "idle"
	Joins      Kind = "joins"
	Publishes  Kind = "publishes"
)

// Run is one scenario with one peer, once.
type Run struct {
	Scenario string `json:"scenario"`
	Peer     string `json:"peer"`
	Round    int    `json:"round"`
	Error    string `json:"error,omitempty"` // why there is nothing else

	Clients    int           `json:"clients"`
	Plain      int           `json:"plain,omitempty"` // clients whose offer of compression was declined
	Published  uint64        `json:"published,omitempty"`
	Deliveries uint64        `json:"deliveries,omitempty"`
	Missing    uint64        `json:"missing,omitempty"`    // deliveries of the whole run
	Surplus    uint64        `json:"surplus,omitempty"`    // the same, too many
	Doubles    uint64        `json:"doubles,omitempty"`    // at the clients of the sample
	Disordered uint64        `json:"disordered,omitempty"` // at the clients of the sample
	Gone       int           `json:"gone,omitempty"`       // clients that lost their connection
	Elapsed    time.Duration `json:"elapsed,omitempty"`
	User       time.Duration `json:"user,omitempty"` // processor time of the server
	System     time.Duration `json:"system,omitempty"`
	Clientside time.Duration `json:"clientside,omitempty"` // processor time of the clients' process
	Bytes      uint64        `json:"bytes,omitempty"`
	Late       time.Duration `json:"late,omitempty"` // how far the publisher was behind at most
	P50        time.Duration `json:"p50,omitempty"`
	P99        time.Duration `json:"p99,omitempty"`
	P999       time.Duration `json:"p999,omitempty"`

	JoinTime  time.Duration `json:"join_time"`            // from the first connection until all were in
	JoinUser  time.Duration `json:"join_user"`            // processor time of the server for that
	JoinSys   time.Duration `json:"join_sys"`             //
	IdleCost  time.Duration `json:"idle_cost"`            // processor time in a second without messages
	Memory    int64         `json:"memory,omitempty"`     // bytes in memory that clients added to the server
	Sockets   int64         `json:"sockets,omitempty"`    // bytes of the kernel for both ends of them
	Goroutine int           `json:"goroutines,omitempty"` // that clients added
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

// Merge adds what a later call has measured. Where both have a scenario with a peer, the
// later one counts.
func (f *File) Merge(later *File) {
	type row struct{ scenario, peer string }
	newer := map[row]bool{}
	for _, r := range later.Runs {
		newer[row{r.Scenario, r.Peer}] = true
	}
	var runs []Run
	for _, r := range f.Runs {
		if !newer[row{r.Scenario, r.Peer}] {
			runs = append(runs, r)
		}
	}
	f.Runs = append(runs, later.Runs...)
	f.Host = later.Host
	if f.Baseline == "" {
		f.Baseline = later.Baseline
	}
	f.Peers = union(f.Peers, later.Peers, func(s string) string { return s })
	f.Sheds = union(f.Sheds, later.Sheds, func(s string) string { return s })
	f.Scenarios = union(f.Scenarios, later.Scenarios, func(s Scenario) string { return s.Name })
	if f.Versions == nil {
		f.Versions = map[string]string{}
	}
	for k, v := range later.Versions {
		f.Versions[k] = v
	}
}

// union appends those of b that a lacks.
func union[T any](a, b []T, key func(T) string) []T {
	have := map[string]bool{}
	for _, v := range a {
		have[key(v)] = true
	}
	for _, v := range b {
		if !have[key(v)] {
			a = append(a, v)
		}
	}
	return a
}
