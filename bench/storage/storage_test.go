//go:build linux

package storage

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/liveim/im"
)

func readers() (all []Peer) {
	for _, p := range Peers() {
		if !p.Raw {
			all = append(all, p)
		}
	}
	return all
}

func TestStoresGiveBackWhatTheyHave(t *testing.T) {
	const room, others = "room-000", "room-001"
	for _, p := range readers() {
		t.Run(p.Name, func(t *testing.T) {
			dir := t.TempDir()
			s, err := p.Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			if _, last, err := s.Bounds(room); last != 0 || err != nil {
				t.Errorf("an empty room has %d, %v", last, err)
			}
			m := newMaker(1)
			events := m.events(2500)
			for _, e := range events[:10] {
				if err := s.Append(context.Background(), room, e); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.Fill(room, events[10:]); err != nil {
				t.Fatal(err)
			}
			if err := s.Fill(others, m.events(7)); err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if s, err = p.Open(dir); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = s.Close() }()
			if n, err := count(s, []string{room, others, "room-002"}); n != len(events)+7 || err != nil {
				t.Errorf("%d events are there, %v", n, err)
			}
			checkPages(t, s, room, events)
		})
	}
}

func checkPages(t *testing.T, s Store, room string, events []*im.Event) {
	t.Helper()
	all, err := places(s, room)
	if err != nil || len(all) != len(events) {
		t.Fatalf("the room has %d events, %v", len(all), err)
	}
	up, err := s.Page(room, all[4], 3, false)
	if err != nil || len(up) != 3 {
		t.Fatalf("%d events, %v", len(up), err)
	}
	down, err := s.Page(room, all[8], 3, true)
	if err != nil || len(down) != 3 {
		t.Fatalf("%d events, %v", len(down), err)
	}
	for i := range up {
		want := events[5+i]
		for _, got := range []*im.Event{up[i], down[i]} {
			if got.ID != want.ID || string(got.Body) != string(want.Body) || got.From != want.From || got.Digest != want.Digest ||
				got.Kind != want.Kind || got.Class != want.Class || got.At.UnixMilli() != want.At.UnixMilli() || got.Pos.Seq != all[5+i] {
				t.Errorf("event %d is %+v, want %+v", i, got, want)
			}
		}
	}
}

func TestBodiesHaveTheirSize(t *testing.T) {
	m := newMaker(1)
	ids := map[string]bool{}
	for range 1000 {
		e := m.event()
		if len(e.Body) != bodySize || !json.Valid(e.Body) || ids[e.ID] {
			t.Fatalf("%+v", e)
		}
		ids[e.ID] = true
	}
}

func TestDecodeRefusesWhatIsShort(t *testing.T) {
	whole := encode(nil, newMaker(1).event())
	for n := range len(whole) - bodySize {
		if e, err := decode(whole[:n], 1); err == nil {
			t.Fatalf("%d of %d bytes are %+v", n, len(whole), e)
		}
	}
}

func TestReport(t *testing.T) {
	c := &Config{}
	c.Long()
	f := &File{Scenarios: c.Scenarios()[:1], Results: []Result{
		{Scenario: Appends, Peer: "filelog", Values: map[string]float64{"512 writers": 100_000}},
		{Scenario: Appends, Peer: "filelog", Round: 1, Values: map[string]float64{"512 writers": 300_000}},
		{Scenario: Appends, Peer: "a & b", Values: map[string]float64{"1 writer": 1}},
	}}
	f.Merge(&File{Scenarios: c.Scenarios()[:2], Results: []Result{{Scenario: Appends, Peer: "a & b", Error: "no disk"}}})
	dir := t.TempDir()
	page := filepath.Join(dir, "storage-benchmarks.md")
	if err := f.WritePage(dir); err == nil {
		t.Error("a page that is not there was written")
	}
	if err := os.WriteFile(page, []byte("before\n"+begin+"old\n"+end+"after\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "images"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := f.WritePage(dir); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"before\n", "after\n", "| filelog | – | – | – | 200,000 (100,000–300,000) |", "no disk", "### storage-latency", "images/bench-storage-appends.svg"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the page lacks %q:\n%s", want, text)
		}
	}
	if strings.Contains(string(text), "old") {
		t.Errorf("the page has the old results:\n%s", text)
	}
}
