//go:build linux

// Imbench compares the fan-out of this library with that of others. It is its own server
// process as well: it starts itself for each run. Use make bench.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/liveim/im/bench/compare"
	"github.com/liveim/im/bench/host"
	"github.com/liveim/im/bench/peers"
	impeer "github.com/liveim/im/bench/peers/im"
	"github.com/liveim/im/bench/peers/writeloop"
	"github.com/liveim/im/bench/report"
	"github.com/liveim/im/bench/rig"

	"golang.org/x/sys/unix"
)

// rows are the peers in the order of the tables, the baseline first.
func rows() []rig.Peer {
	yardsticks := []rig.Peer{writeloop.Peer()}
	if p, ok := writeloop.Batched(); ok {
		yardsticks = append(yardsticks, p)
	}
	return slices.Concat(yardsticks, impeer.Peers(), peers.Others())
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "imbench:", err)
		os.Exit(1)
	}
}

type options struct {
	serve, setup       string
	peers, scenarios   string
	rounds             int
	short, pin         bool
	lasts              time.Duration
	json, report, docs string
	commit, command    string
}

func run(args []string) error {
	var o options
	f := flag.NewFlagSet("imbench", flag.ContinueOnError)
	f.StringVar(&o.peers, "peers", "", "only peers whose name matches this regular expression; the write loop always runs")
	f.StringVar(&o.scenarios, "scenario", "", "only scenarios whose whole name matches this regular expression")
	f.IntVar(&o.rounds, "rounds", 3, "how often each peer has its turn; tables show medians")
	f.BoolVar(&o.short, "short", false, "short runs, to see whether it works")
	f.DurationVar(&o.lasts, "for", 0, "how long each measurement lasts; 0: 10 s at a rate, else 5 s")
	f.BoolVar(&o.pin, "pin", false, "give server and clients a processor each in all scenarios")
	f.StringVar(&o.json, "json", "", "write raw results to this file")
	f.StringVar(&o.report, "report", "", "measure nothing: make the report of these files, separated by commas; later ones count")
	f.StringVar(&o.docs, "docs", "", "renew benchmarks.md and its charts in this directory")
	f.StringVar(&o.commit, "commit", "", "what is measured, for the report")
	f.StringVar(&o.command, "command", "", "how it was called, for the report")
	f.StringVar(&o.serve, "serve", "", "be the server process of this peer")
	f.StringVar(&o.setup, "setup", "", "the setup of the server, JSON")
	if err := f.Parse(args); err != nil {
		return err
	}
	switch {
	case o.serve != "":
		return serve(o)
	case o.report != "":
		return rebuild(o)
	}
	return measure(o)
}

// serve is the server process.
func serve(o options) error {
	i := slices.IndexFunc(rows(), func(p rig.Peer) bool { return p.Name == o.serve })
	if i < 0 {
		return fmt.Errorf("there is no peer %q", o.serve)
	}
	var setup rig.Setup
	if err := json.Unmarshal([]byte(o.setup), &setup); err != nil {
		return err
	}
	// A goroutine that blocks in read(2) keeps its processor until the runtime takes it
	// away, and with one processor that holds the server up: wait in the poller.
	if err := unix.SetNonblock(0, true); err != nil {
		return os.NewSyscallError("fcntl", err)
	}
	return host.Run(rows()[i], setup, os.NewFile(0, "standard input"), os.Stdout)
}

func launch(p rig.Peer, setup rig.Setup, core int) (compare.Server, error) {
	b, err := json.Marshal(setup)
	if err != nil {
		return nil, err
	}
	return host.Start(core, "-serve", p.Name, "-setup", string(b))
}

// rebuild makes the report of earlier results.
func rebuild(o options) error {
	all := &report.File{}
	for name := range strings.SplitSeq(o.report, ",") {
		f, err := report.Read(name)
		if err != nil {
			return err
		}
		all.Merge(f)
	}
	return publish(o, all)
}

// publish shows the tables and, if there is a place for it, renews the page.
func publish(o options, f *report.File) error {
	fmt.Print(f.Tables())
	if o.docs == "" {
		return nil
	}
	return f.WritePage(o.docs)
}

func measure(o options) error {
	onlyPeers, err := regexp.Compile("(?i)" + o.peers)
	if err != nil {
		return fmt.Errorf("-peers: %w", err)
	}
	onlyScenarios, err := regexp.Compile("^(?:" + o.scenarios + ")$")
	if err != nil {
		return fmt.Errorf("-scenario: %w", err)
	}
	all := rows()
	baseline := all[0].Name
	all = slices.DeleteFunc(all, func(p rig.Peer) bool { return p.Name != baseline && !onlyPeers.MatchString(p.Name) })
	scenarios := slices.DeleteFunc(compare.Scenarios(o.short), func(s compare.Scenario) bool {
		return o.scenarios != "" && !onlyScenarios.MatchString(s.Name)
	})
	if len(scenarios) == 0 {
		return fmt.Errorf("no scenario has the name %q", o.scenarios)
	}
	for i := range scenarios {
		scenarios[i].Pinned = scenarios[i].Pinned || o.pin
		if o.lasts > 0 {
			scenarios[i].For = o.lasts
		}
	}
	file := describe(o, all, scenarios)
	failed := 0
	err = compare.All(scenarios, all, o.rounds, launch, func(r report.Run) error {
		fmt.Fprintln(os.Stderr, r.Line())
		if r.Error != "" {
			failed++
		}
		file.Runs = append(file.Runs, r)
		if o.json == "" {
			return nil
		}
		return file.Write(o.json) // after each: what was measured is not lost with the rest
	})
	if err != nil {
		return err
	}
	if err := publish(o, file); err != nil {
		return err
	}
	if failed > 0 {
		return fmt.Errorf("%d runs have failed", failed)
	}
	return nil
}
