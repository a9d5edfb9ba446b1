//go:build linux

package main

import (
	"bytes"
	"cmp"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/liveim/im/bench/compare"
	"github.com/liveim/im/bench/report"
	"github.com/liveim/im/bench/rig"
	"golang.org/x/sys/unix"
)

// describe begins a file: what is measured, on what.
func describe(o options, peers []rig.Peer, scenarios []compare.Scenario) *report.File {
	f := &report.File{
		Host: report.Host{
			Date: time.Now().UTC().Format(time.DateOnly), Command: cmp.Or(o.command, strings.Join(os.Args, " ")), Commit: o.commit,
			CPU: processor(), Cores: runtime.NumCPU(), Kernel: kernel(), Go: runtime.Version(),
		},
		Baseline: peers[0].Name, Versions: map[string]string{},
	}
	modules := map[string]string{}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			modules[m.Path] = m.Version
		}
	}
	for _, p := range peers {
		f.Peers = append(f.Peers, p.Name)
		if p.Sheds {
			f.Sheds = append(f.Sheds, p.Name)
		}
		if p.Module != "" {
			f.Versions[p.Name] = p.Module + " " + modules[p.Module]
		}
	}
	for _, s := range scenarios {
		f.Scenarios = append(f.Scenarios, s.Scenario)
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
