package httpquery

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestParseRooms(t *testing.T) {
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
	} {
		q, err := url.ParseQuery(tt.query)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseRooms(q, tt.lastID)
		if !slices.Equal(got, tt.want) || !errors.Is(err, tt.err) {
			t.Errorf("ParseRooms(%q, %q) = %v, %v; want %v, %v", tt.query, tt.lastID, got, err, tt.want, tt.err)
		}
	}
}
