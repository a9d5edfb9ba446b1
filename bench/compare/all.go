//go:build linux

package compare

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/liveim/im/bench/report"
	"github.com/liveim/im/bench/rig"
)

// All runs the scenarios with the peers in rounds: every peer has its turn before any has
// its second one, so that what changes on the machine hits them all. done is told of each
// run. A run that fails says so in its result, and ends nothing.
func All(scenarios []Scenario, peers []rig.Peer, rounds int, launch Launch, done func(report.Run) error) error {
	for _, s := range scenarios {
		for round := range rounds {
			for _, p := range peers {
				if !s.fits(&p) {
					continue
				}
				res, err := Do(s, p, launch)
				res.Round = round
				if err != nil {
					res.Error = err.Error()
				}
				if err := done(res); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// socketMemory is how many bytes the kernel holds for the buffers of all TCP sockets of
// this machine.
func socketMemory() (int64, error) {
	text, err := os.ReadFile("/proc/net/sockstat")
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(text) {
		fields := bytes.Fields(line)
		if len(fields) < 2 || string(fields[0]) != "TCP:" {
			continue
		}
		for i := 1; i+1 < len(fields); i += 2 {
			if string(fields[i]) != "mem" {
				continue
			}
			pages, err := strconv.ParseInt(string(fields[i+1]), 10, 64)
			if err != nil {
				return 0, fmt.Errorf("/proc/net/sockstat: %w", err)
			}
			return pages * int64(os.Getpagesize()), nil
		}
	}
	return 0, errors.New("/proc/net/sockstat does not say how much memory TCP uses")
}
