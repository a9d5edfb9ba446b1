//go:build linux

// Imstorebench measures the file log beside bbolt and pebble, in one run on one disk. It is its own child process as well, for
// logs that are killed and disks that stall. Use make bench SCENARIO=storage-appends, or another of its scenarios.
package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/liveim/im/bench/storage"
	"golang.org/x/sys/unix"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "imstorebench:", err)
		os.Exit(1)
	}
}

type options struct {
	dir, peers, scenarios string
	rounds, writers       int
	short                 bool
	lasts                 time.Duration
	json, report, docs    string
	commit, command       string
	child, profile        string
}

func run(args []string) error {
	var o options
	f := flag.NewFlagSet("imstorebench", flag.ContinueOnError)
	f.StringVar(&o.dir, "dir", "", "a directory on the disk that is measured; empty: the one for temporary files")
	f.StringVar(&o.peers, "peers", "", "only stores whose name matches this regular expression")
	f.StringVar(&o.scenarios, "scenario", "", "only scenarios whose whole name matches this regular expression")
	f.IntVar(&o.rounds, "rounds", 3, "how often each store has its turn; tables show medians")
	f.IntVar(&o.writers, "writers", 0, "measure appends of so many writers only; 0: of each number in the table")
	f.BoolVar(&o.short, "short", false, "short runs, to see whether it works")
	f.DurationVar(&o.lasts, "for", 0, "how long each measurement of appends lasts, those of latency three times that; 0: 1 s")
	f.StringVar(&o.json, "json", "", "write raw results to this file")
	f.StringVar(&o.report, "report", "", "measure nothing: make the report of these files, separated by commas; later ones count")
	f.StringVar(&o.docs, "docs", "", "renew storage-benchmarks.md and its charts in this directory")
	f.StringVar(&o.commit, "commit", "none", "what is measured, for the report")
	f.StringVar(&o.command, "command", "", "how it was called, for the report")
	f.StringVar(&o.profile, "profile", "", "write a profile of the processors' time to this file")
	f.StringVar(&o.child, "child", "", "be the process that is killed, or whose disk stalls, with further arguments")
	if err := f.Parse(args); err != nil {
		return err
	}
	switch {
	case o.child != "":
		return child(o.child, f.Args())
	case o.report != "":
		return rebuild(o)
	}
	return measure(o)
}

// child is this program in its other roles.
func child(role string, args []string) error {
	if len(args) != 4 {
		return fmt.Errorf("-child needs four arguments, not %q", args)
	}
	peer, dir := args[0], args[1]
	if role == "crash" {
		events, err := strconv.Atoi(args[2])
		if err != nil {
			return err
		}
		return storage.Crash(context.Background(), peer, dir, events, os.Stdout)
	}
	around, err := time.ParseDuration(args[2])
	if err != nil {
		return err
	}
	stalls, err := time.ParseDuration(args[3])
	if err != nil {
		return err
	}
	return storage.StallHere(peer, dir, around, stalls, os.Stdout)
}

// rebuild makes the report of earlier results.
func rebuild(o options) error {
	all := &storage.File{}
	for name := range strings.SplitSeq(o.report, ",") {
		f, err := storage.Read(name)
		if err != nil {
			return err
		}
		all.Merge(f)
	}
	if o.command != "" {
		all.Host.Command = o.command
	}
	if o.commit != "none" {
		all.Host.Commit = o.commit
	}
	return publish(o, all)
}

func publish(o options, f *storage.File) error {
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
	c := configure(o)
	c.Peers = slices.DeleteFunc(c.Peers, func(p storage.Peer) bool { return !onlyPeers.MatchString(p.Name) })
	scenarios := slices.DeleteFunc(c.Scenarios(), func(s storage.Scenario) bool {
		return o.scenarios != "" && !onlyScenarios.MatchString(s.Name)
	})
	if len(scenarios) == 0 || len(c.Peers) == 0 {
		return fmt.Errorf("no scenario has the name %q, or no store the name %q", o.scenarios, o.peers)
	}
	if o.dir != "" {
		if err := os.MkdirAll(o.dir, 0o700); err != nil {
			return err
		}
	}
	file := describe(o, scenarios)
	failed := 0
	c.Done = func(r storage.Result) error {
		fmt.Fprintln(os.Stderr, r.Line())
		if r.Error != "" {
			failed++
		}
		file.Results = append(file.Results, r)
		if o.json == "" {
			return nil
		}
		return file.Write(o.json) // after each: what was measured is not lost with the rest
	}
	if err := profiled(o.profile, func() error { return runAll(c, scenarios) }); err != nil {
		return err
	}
	if err := publish(o, file); err != nil {
		return err
	}
	if failed > 0 {
		return fmt.Errorf("%d measurements have failed", failed)
	}
	return nil
}

func runAll(c *storage.Config, scenarios []storage.Scenario) error {
	for _, s := range scenarios {
		if err := c.Run(s.Name); err != nil {
			return err
		}
	}
	return nil
}

// profiled calls f, and writes a profile of it if name is not empty.
func profiled(name string, f func() error) error {
	if name == "" {
		return f()
	}
	out, err := os.Create(name)
	if err != nil {
		return err
	}
	if err := pprof.StartCPUProfile(out); err != nil {
		return err
	}
	err = f()
	pprof.StopCPUProfile()
	return errors.Join(err, out.Close())
}

func configure(o options) *storage.Config {
	c := &storage.Config{
		Dir: o.dir, Rounds: o.rounds, Peers: storage.Peers(),
		Crash: storage.CrashIn(func(peer, dir string, events int) []string {
			return []string{"-child", "crash", peer, dir, strconv.Itoa(events), ""}
		}),
		Stall: storage.StallIn(func(peer, dir string, around, stalls time.Duration) []string {
			return []string{"-child", "stall", peer, dir, around.String(), stalls.String()}
		}),
	}
	c.Long()
	if o.short {
		c.Short()
	}
	if o.lasts > 0 {
		c.For = o.lasts
	}
	if o.writers > 0 {
		c.Writers = []int{o.writers}
	}
	return c
}

func describe(o options, scenarios []storage.Scenario) *storage.File {
	f := &storage.File{
		Host: storage.Host{
			Date: time.Now().UTC().Format(time.DateOnly), Command: cmp.Or(o.command, strings.Join(os.Args, " ")), Commit: o.commit,
			CPU: processor(), Cores: runtime.NumCPU(), Kernel: kernel(), Go: runtime.Version(), Disk: fileSystem(cmp.Or(o.dir, os.TempDir())),
		},
		Scenarios: scenarios, Versions: map[string]string{},
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if slices.ContainsFunc(storage.Peers(), func(p storage.Peer) bool { return p.Module == m.Path }) {
				f.Versions[m.Path] = m.Version
			}
		}
	}
	return f
}

func kernel() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return "unknown"
	}
	return "Linux " + unix.ByteSliceToString(u.Release[:])
}

// processor is the name of the processors, if the kernel tells it.
func processor() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown"
	}
	for line := range bytes.Lines(text) {
		if k, v, ok := strings.Cut(string(line), ":"); ok && strings.TrimSpace(k) == "model name" {
			return strings.TrimSpace(v)
		}
	}
	return "unknown"
}

// fileSystem is the type of the file system that a directory is on, and its device.
func fileSystem(dir string) string {
	var s unix.Stat_t
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil || unix.Stat(dir, &s) != nil {
		return "an unknown file system"
	}
	number := fmt.Sprintf("%d:%d", unix.Major(s.Dev), unix.Minor(s.Dev))
	for line := range strings.Lines(string(text)) {
		// 36 35 98:0 /root /mount options - ext4 /dev/vda options
		before, after, _ := strings.Cut(line, " - ")
		fields, source := strings.Fields(before), strings.Fields(after)
		if len(fields) > 2 && fields[2] == number && len(source) > 1 {
			return source[0] + " on " + source[1]
		}
	}
	return "an unknown file system"
}
