package im_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest"
	"github.com/liveim/im/transport/pipe"
)

var update = flag.Bool("update", false, "rewrite the answers in testdata/transcripts/server")

// The transcripts of the server: each file is what one client says ("> ") and
// what the host does ("@ "), and what the hub answers ("< "). Random ids are replaced by names.
func TestServerTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/transcripts/server/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var got []byte
			synctest.Test(t, func(t *testing.T) { got = replayTranscript(t, want) })
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if !bytes.Equal(got, want) {
				t.Errorf("the hub answers otherwise; look at the difference, and rewrite it with go test -run ServerTranscripts -update .\n%s", got)
			}
		})
	}
}

// replayTranscript plays the lines that are not answers, and returns the file
// with the answers that came.
func replayTranscript(t *testing.T, file []byte) []byte {
	hub := imtest.NewHub(t, nil)
	hub.Handle("quiz.answer", func(_ context.Context, r *im.Request) (any, error) {
		if string(r.Body) != `"B"` {
			return nil, &im.Error{Code: "wrong", Reason: "try again", RetryAfter: 5 * time.Second}
		}
		return map[string]int{"points": 10}, nil
	})
	conn, peer := pipe.New(nil)
	u := im.User{ID: "u1", Name: "Ann", Roles: []string{"host"}}
	if bytes.Contains(file, []byte("\n@ viewer\n")) {
		u.Roles = nil
	}
	if _, err := hub.Attach(conn, u); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = peer.Close() }()
	var out bytes.Buffer
	names := namer{}
	answers := func() {
		var direct, fates, rest []string // answers come before news: their order is not fixed
		for {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			m, err := peer.Recv(ctx)
			cancel()
			if err != nil {
				break
			}
			if bytes.Contains(m[:min(len(m), 40)], []byte(`,"id":`)) {
				direct = append(direct, string(m))
			} else if bytes.HasPrefix(m, []byte(`{"op":"held"`)) || bytes.HasPrefix(m, []byte(`{"op":"fate"`)) {
				fates = append(fates, string(m))
			} else {
				rest = append(rest, string(m))
			}
		}
		for _, m := range slices.Concat(direct, fates, rest) {
			out.WriteString("< " + names.replace(m) + "\n")
		}
	}
	lines := bufio.NewScanner(bytes.NewReader(file))
	welcomed := false
	for lines.Scan() {
		line := lines.Text()
		verb, rest, _ := strings.Cut(line, " ")
		if verb == "<" {
			continue
		}
		acts := verb == ">" || verb == "@"
		if acts && !welcomed {
			answers()
			welcomed = true
		}
		out.WriteString(line + "\n")
		switch verb {
		case ">":
			if err := peer.Send(t.Context(), []byte(names.restore(rest))); err != nil {
				t.Fatal(err)
			}
		case "@":
			hostAct(t, hub, strings.Fields(rest))
		}
		if acts {
			answers()
		}
	}
	return out.Bytes()
}

// hostAct is what the host does by an "@" line.
func hostAct(t *testing.T, hub *imtest.Hub, args []string) {
	t.Helper()
	var err error
	room := hub.Room("42")
	switch args[0] {
	case "send":
		_, err = room.Send(t.Context(), im.Kind(args[1]), json.RawMessage(args[2]))
	case "set":
		_, err = room.Set(t.Context(), args[1], json.RawMessage(args[2]))
	case "modes":
		var m im.Modes
		if err = json.Unmarshal([]byte(args[1]), &m); err == nil {
			_, err = room.SetModes(t.Context(), m)
		}
	case "say": // another user sends
		_, err = hub.Join("42", im.User{ID: args[1]}).SendTo("42", im.Kind(args[2]), "c-1", json.RawMessage(args[3]))
	case "remove": // single events by seq, or a user's
		what := im.Removal{Reason: "be nice"}
		at, _ := room.Position(t.Context())
		for _, word := range args[1:] {
			if seq, err := strconv.ParseUint(word, 10, 64); err == nil {
				what.Positions = append(what.Positions, im.Position{Epoch: at.Epoch, Seq: seq})
			} else {
				what.User = word
			}
		}
		_, err = room.Remove(t.Context(), what)
	case "viewer": // what the client is in this file, in place of the host
	case "kick":
		err = room.Kick(t.Context(), args[1], args[2])
	case "close":
		err = room.Close(t.Context(), args[1])
	case "open":
		err = room.Open(t.Context())
	case "direct":
		_, err = hub.User(args[1]).Send(t.Context(), im.Notice, json.RawMessage(args[2]))
	case "wait":
		var d time.Duration
		if d, err = time.ParseDuration(args[1]); err == nil {
			pass(d)
		}
	case "end":
		for _, s := range hub.User("u1").Sessions() {
			s.Close(&im.Error{Code: im.CodeShutdown, RetryAfter: 1500 * time.Millisecond})
		}
	default:
		t.Fatalf("@ %s: no such verb", args[0])
	}
	if err != nil {
		t.Fatalf("@ %s: %v", strings.Join(args, " "), err)
	}
}

// namer replaces random ids by names, and back.
type namer map[string]string

var randomFields = regexp.MustCompile(`"(sid|epoch|event|id)":"([^"]+)"`)

func (n namer) replace(m string) string {
	m = randomFields.ReplaceAllStringFunc(m, func(field string) string {
		parts := randomFields.FindStringSubmatch(field)
		kind, value := parts[1], parts[2]
		if kind == "id" && len(value) < 16 { // of a user
			return field
		}
		if kind == "id" {
			kind = "event"
		}
		name, ok := n[value]
		if !ok {
			count := 0
			for _, other := range n {
				if strings.HasPrefix(other, kind+"-") {
					count++
				}
			}
			name = kind + "-" + strconv.Itoa(count+1)
			n[value] = name
		}
		return `"` + parts[1] + `":"` + name + `"`
	})
	for value, name := range n { // keys of a tally
		m = strings.ReplaceAll(m, `"`+value+`":`, `"`+name+`":`)
	}
	return m
}

func (n namer) restore(m string) string {
	for value, name := range n {
		m = strings.ReplaceAll(m, `"`+name+`"`, `"`+value+`"`)
	}
	return m
}
