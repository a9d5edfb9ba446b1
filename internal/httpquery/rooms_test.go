package httpquery

import (
	"errors"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRooms(t *testing.T) {
	many := strings.TrimSuffix(strings.Repeat("room=r&", MaxRooms+1), "&")
	for _, tt := range []struct {
		query, lastID string
		want          []Room
		err           error
	}{
		{"", "", nil, nil},
		{"room=42", "", []Room{{Name: "42"}}, nil},
		{"room=42&since=e1.119&room=43&since=", "", []Room{{"42", "e1.119", ""}, {"43", "", ""}}, nil},
		{"room=42&room=43&since=e1.119", "", []Room{{"42", "e1.119", ""}, {"43", "", ""}}, nil},
		{"room=a&room=b&tier=&tier=reduced&since=x", "", []Room{{"a", "x", ""}, {"b", "", "reduced"}}, nil},
		{"room=42&since=e1.119&room=43", "e1.121,e2.7", []Room{{"42", "e1.121", ""}, {"43", "e2.7", ""}}, nil},
		{"room=42&room=43&since=e1.119", ",e2.7", []Room{{"42", "", ""}, {"43", "e2.7", ""}}, nil},
		{"room=42", "e1.1,e2.2", nil, errLastID},
		{"room=42&room=43", "e1.1", nil, errLastID},
		{"", "e1.1", nil, errLastID},
		{"room=42&since=a&since=b", "", nil, errUnpaired},
		{"tier=full", "", nil, errUnpaired},
		{"room=42&room=", "", nil, errEmpty},
		{"room=42&room=42", "", nil, errTwice},
		{many, "", nil, errTooMany},
		{"since=a&tier=full&room=42", "", []Room{{"42", "a", "full"}}, nil},
		{"room=%E7%9B%B4+%26", "", []Room{{"直 &", "", ""}}, nil},
	} {
		got, err := Query(tt.query).Rooms(tt.lastID)
		if err == nil && !slices.Equal(got, tt.want) || !errors.Is(err, tt.err) {
			t.Errorf("Query(%q).Rooms(%q) = %v, %v; want %v, %v", tt.query, tt.lastID, got, err, tt.want, tt.err)
		}
	}
}

// TestQueryIsThatOfPackageURL compares what is read with what [url.ParseQuery] reads.
func TestQueryIsThatOfPackageURL(t *testing.T) {
	part := rapid.SampledFrom([]string{"room", "since", "sid", "=", "&", "&", ";", "%", "%41", "%zz", "+", "a", "", "e1.7"})
	rapid.Check(t, func(t *rapid.T) {
		raw := strings.Join(rapid.SliceOf(part).Draw(t, "raw"), "")
		want, _ := url.ParseQuery(raw) // what is malformed is left out
		got := url.Values{}
		for key, value := range Query(raw).pairs() {
			got.Add(key, value)
		}
		if !maps.EqualFunc(got, want, slices.Equal) {
			t.Fatalf("%q is %v; want %v", raw, got, want)
		}
		for key := range want {
			if v := Query(raw).Get(key); v != want.Get(key) {
				t.Fatalf("%q has %q for %q; want %q", raw, v, key, want.Get(key))
			}
		}
	})
}

func TestAllocations(t *testing.T) {
	q := Query("room=42&since=e1.119&sid=abc&wait=25000")
	got := testing.AllocsPerRun(100, func() {
		if rooms, err := q.Rooms(""); err != nil || len(rooms) != 1 || q.Get("wait") != "25000" {
			t.Fatal(rooms, err)
		}
	})
	if got > 1 { // the list of rooms
		t.Errorf("reading a query allocates %v times; want once", got)
	}
}
