package wire

import (
	"encoding/json"
	"math/rand"
	"reflect"
	"strings"
	"testing"
	"testing/quick"
)

// TestAppendMessageSaysWhatJSONSays compares messages with anything in their fields, and each
// field alone, with what encoding/json makes of them.
func TestAppendMessageSaysWhatJSONSays(t *testing.T) {
	r := rand.New(rand.NewSource(1))
	kind := reflect.TypeFor[Message]()
	for range 2000 {
		v, ok := quick.Value(kind, r)
		if !ok {
			t.Fatal("no random message")
		}
		m := v.Interface().(Message)
		m.Body, m.State, m.Events, m.Held = nil, nil, nil, nil // random bytes are no JSON
		sameAsJSON(t, &m)
		one := Message{Op: "op"}
		i := r.Intn(kind.NumField())
		reflect.ValueOf(&one).Elem().Field(i).Set(reflect.ValueOf(&m).Elem().Field(i))
		sameAsJSON(t, &one)
	}
	sameAsJSON(t, &Message{})
	sameAsJSON(t, &Message{Op: OpWelcome, User: &User{ID: "<ann>\u2028\n\x7f\xff", Roles: []string{}}})
	sameAsJSON(t, &Message{Op: OpDirect, Body: json.RawMessage(`{"a":[1]}`), State: map[string]Cell{"k": {Value: json.RawMessage(`1`), Version: 2}}, Held: &Event{ID: "x"}, Events: []Event{{ID: "y"}}})
}

func sameAsJSON(t *testing.T, m *Message) {
	t.Helper()
	got, err := AppendMessage([]byte("before"), m)
	if err != nil {
		t.Fatal(err)
	}
	text, ok := strings.CutPrefix(string(got), "before")
	if !ok || strings.ContainsAny(text, "\n\r") {
		t.Fatalf("%q", got)
	}
	want, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	var a, b any
	if err := json.Unmarshal([]byte(text), &a); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	if err := json.Unmarshal(want, &b); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(a, b) {
		t.Fatalf("got  %s\nwant %s", text, want)
	}
}

func TestAppendMessageRefusesWhatIsNoJSON(t *testing.T) {
	if b, err := AppendMessage(nil, &Message{Op: OpDirect, Body: json.RawMessage("{")}); err == nil {
		t.Errorf("it wrote %s", b)
	}
}

func TestAppendCellSaysWhatJSONSays(t *testing.T) {
	cells := map[string]Cell{
		"a":   {Value: json.RawMessage("{\n \"x\": \"y\\n\"}"), Version: 1},
		`b"<`: {Value: json.RawMessage(`null`), Version: 1 << 60, Until: 1764000000000, Owner: `u"1`},
	}
	got := []byte("{")
	for i, key := range []string{"a", `b"<`} {
		if i > 0 {
			got = append(got, ',')
		}
		got = AppendCell(got, key, cells[key])
	}
	got = append(got, '}')
	want, _ := json.Marshal(cells)
	var a, b any
	if err := json.Unmarshal(got, &a); err != nil {
		t.Fatal(err)
	}
	_ = json.Unmarshal(want, &b)
	if !reflect.DeepEqual(a, b) || strings.Contains(string(got), "\n") {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
