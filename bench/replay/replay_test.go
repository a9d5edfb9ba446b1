package replay

import (
	"flag"
	"fmt"
	"hash/maphash"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	recording "github.com/liveim/im/internal/replay"
)

var report = flag.String("report", "", "renew the table of flow-control.md in this directory, and its chart")

// TestWhatViewersAreShown plays every recording at every speed, with the limits of
// users off and on, and holds what is shown against the bars and two baselines.
func TestWhatViewersAreShown(t *testing.T) {
	seed := maphash.MakeSeed()
	var runs []*run
	var results []result
	speeds := []float64{1, 10, 50, 200}
	if raceEnabled && os.Getenv("IM_SOAK") == "" {
		speeds = speeds[:2] // the detector sees the same code, and takes a minute more for the others
	}
	for name, items := range recordings(t) {
		for _, speed := range speeds {
			for _, limited := range []bool{false, true} {
				r := &run{name: name, speed: speed, length: time.Minute, limited: limited, budget: 50}
				t.Run(fmt.Sprintf("%s/%gx/limits=%t", name, speed, limited), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { r.play(t, items) })
					res := r.measure(seed)
					r.check(t, res)
					runs, results = append(runs, r), append(results, res)
				})
			}
		}
	}
	if *report != "" && !t.Failed() {
		write(t, *report, runs, results)
	}
}

// check holds a run against its bars.
func (r *run) check(t *testing.T, res result) {
	t.Logf("offered %.0f/s, shown %.1f, merged %.1f, shed %.1f, refused %.1f; at most %d in a second; Jain %.3f, contended %.3f over %d; distinct %.1f of %.1f (newest %.1f, sample %.1f, whole budget %.1f)",
		res.offered, res.shown, res.merged, res.shed, res.refused, res.most, res.jain, res.contended, res.senders, res.distinct, res.goal, res.newest, res.sample, res.fair)
	for i := range r.messages {
		if m := &r.messages[i]; m.status == "" {
			t.Errorf("message %d of %s has no answer", i, m.user)
		} else if m.status == "ok" && m.shown < 0 || m.status == "shed" && m.shown >= 0 {
			t.Errorf("message %d of %s: the answer is %s, and it was shown at %v", i, m.user, m.status, m.shown)
		} else if m.told-m.at > 1050*time.Millisecond {
			t.Errorf("message %d of %s waited %v for its answer", i, m.user, m.told-m.at)
		}
	}
	if res.most > r.budget {
		t.Errorf("%d were shown within a second; the budget is %d", res.most, r.budget)
	}
	if res.disorder > 0 {
		t.Errorf("%d messages were shown before an earlier one of the same sender", res.disorder)
	}
	if res.overtaken > 0 {
		t.Errorf("%d heavier messages were shed in a tick that showed a lighter one", res.overtaken)
	}
	if !res.overload {
		return
	}
	if res.distinct < 0.97*res.goal {
		t.Errorf("%.1f distinct texts a second were shown; want 0.97 of %.1f", res.distinct, res.goal)
	}
	if best := max(res.newest, res.sample); r.speed == 200 && res.distinct < 1.15*best {
		t.Errorf("%.1f distinct texts a second were shown; the better baseline shows %.1f", res.distinct, best)
	}
	if res.steady && res.jain < 0.9 {
		t.Errorf("Jain's index is %.3f over %d senders", res.jain, res.senders)
	}
	if merged, shed := r.count("merged"), r.count("shed"); r.merged != merged || r.shed != shed {
		t.Errorf("the room was told of %d merged and %d shed; there were %d and %d", r.merged, r.shed, merged, shed)
	}
}

// recordings yields the recordings of this machine, or one that is made up.
func recordings(t *testing.T) func(yield func(string, []recording.Item) bool) {
	paths, err := recording.Find()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]recording.Item{}
	for _, p := range paths {
		f, err := os.Open(p)
		if err != nil {
			t.Fatal(err)
		}
		items, err := recording.Read(f, nil)
		_ = f.Close()
		if err != nil {
			t.Fatalf("%s: %v", p, err)
		}
		items = slices.DeleteFunc(items, func(it recording.Item) bool { return !it.Plain() || it.User == "" })
		all[strings.TrimSuffix(filepath.Base(p), filepath.Ext(p))] = items
	}
	if len(all) == 0 {
		all["generated"] = recording.Generate(recording.Profile{})
	}
	return func(yield func(string, []recording.Item) bool) {
		for _, name := range sortedKeys(all) {
			if !yield(name, all[name]) {
				return
			}
		}
	}
}
