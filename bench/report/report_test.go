package report

import (
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the files in testdata that tests compare with")

// golden holds what was made against a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	name = filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want, err := os.ReadFile(name); err != nil || string(want) != got {
		t.Errorf("%s differs (%v); if it should, run go test -update ./report. Now it is:\n%s", name, err, got)
	}
}

func results(t *testing.T) *File {
	t.Helper()
	f, err := Read(filepath.Join("testdata", "results.json"))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestTables(t *testing.T) { golden(t, "tables.md", results(t).Tables()) }

func TestCharts(t *testing.T) {
	charts := results(t).charts()
	if len(charts) != 4 {
		t.Errorf("%d charts, want those of 4 scenarios", len(charts))
	}
	for name, svg := range charts {
		for d := xml.NewDecoder(strings.NewReader(svg)); ; {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s is not XML: %v", name, err)
			}
		}
	}
	golden(t, "viewers.svg", charts["bench-viewers-1000.svg"])
}

func TestLines(t *testing.T) {
	var b strings.Builder
	for _, r := range results(t).Runs {
		b.WriteString(r.Line() + "\n")
	}
	golden(t, "lines.txt", b.String())
}

func TestMergeTakesTheLaterResult(t *testing.T) {
	f := &File{}
	f.Merge(results(t))
	f.Merge(&File{
		Host: Host{Date: "2026-02-03"}, Baseline: "other", Peers: []string{"im", "newer"},
		Scenarios: []Scenario{{Name: "joins", Kind: Joins}, {Name: "more", Kind: Idle}}, Versions: map[string]string{"newer": "v1"},
		Runs: []Run{{Scenario: "joins", Peer: "im", Clients: 7}, {Scenario: "more", Peer: "newer", Clients: 1}},
	})
	joins := f.rows(Scenario{Name: "joins", Kind: Joins})
	if len(joins) != 2 || len(joins[1].runs) != 1 || joins[1].runs[0].Clients != 7 {
		t.Errorf("the joins are %+v", joins)
	}
	if f.Host.Date != "2026-02-03" || f.Baseline != "write loop" || len(f.Peers) != 5 || len(f.Scenarios) != 6 || f.Versions["newer"] != "v1" || len(f.Runs) != len(results(t).Runs)+1 {
		t.Errorf("merged: %+v", f)
	}
}

func TestFileSurvivesWriting(t *testing.T) {
	name := filepath.Join(t.TempDir(), "f.json")
	f := results(t)
	if err := f.Write(name); err != nil {
		t.Fatal(err)
	}
	again, err := Read(name)
	if err != nil || again.Tables() != f.Tables() {
		t.Errorf("read again it has other tables, %v", err)
	}
}

func TestPageWithoutAPlaceIsRefused(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "benchmarks.md"), []byte("prose"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := results(t).WritePage(dir); err == nil || !strings.Contains(err.Error(), "has no place") {
		t.Errorf("%v", err)
	}
}

func TestFigures(t *testing.T) {
	for v, want := range map[float64]string{0: "0.00", 0.134: "0.13", 9.999: "10.00", 12.34: "12.3", 123.4: "123", 3979739: "3,979,739", 100000: "100,000"} {
		if got := figure(v); got != want {
			t.Errorf("%v is written %s, want %s", v, got, want)
		}
	}
	if m := median([]float64{5, 1, 2, 4}); m != 3 {
		t.Errorf("the median is %v", m)
	}
	if s := thousands(-1234); s != "-1,234" {
		t.Error(s)
	}
}
