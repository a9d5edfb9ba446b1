package im_test

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/liveim/im"
)

// What docs/protocol.md does by hand is done by this test: the blocks "sh" of
// the section are run, and the block "text" behind each is what it printed. A
// command that opens a stream goes on while those of blocks "sh meanwhile" run, and a
// block "text stream" is what it has printed. Ids and times are replaced by the
// names that the document has for them.
func TestProtocolByHand(t *testing.T) {
	doc, err := os.ReadFile("docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(doc), "\n## By hand\n")
	section, after, ok2 := strings.Cut(rest, "\n## ")
	if !ok || !ok2 {
		t.Fatal(`docs/protocol.md lacks the section "By hand"`)
	}
	h := newHandwork(t)
	got := fences.ReplaceAllStringFunc(section, h.fence)
	h.endStream()
	if h.commands < 10 {
		t.Errorf("%d commands in the section: are the blocks still called sh?", h.commands)
	}
	if got == section || t.Failed() {
		return
	}
	if *update {
		if err := os.WriteFile("docs/protocol.md", []byte(before+"\n## By hand\n"+got+"\n## "+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Errorf("the commands of docs/protocol.md print something else; look at the difference, and rewrite it with go test -run ByHand -update .\n%s", got)
}

var fences = regexp.MustCompile("(?ms)^```([a-z ]+)\n(.*?)^```$")

// handwork runs the blocks of the section, one after the other.
type handwork struct {
	t        *testing.T
	hub      *im.Hub
	preamble string // the first block
	mount    string // of the hub
	names    aliases
	commands int
	printed  string       // by the last command
	open     string       // the command whose answer has not been compared yet
	stream   *eventStream // that is open
}

func newHandwork(t *testing.T) *handwork {
	t.Helper()
	// wscat is where make test has put it, unless the machine has one.
	bin, err := filepath.Abs("web/test/foreign/node_modules/.bin")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	for command, advice := range map[string]string{
		"bash":  "install it",
		"curl":  "install it, for example with apt-get install curl",
		"wscat": "run npm ci in web/test/foreign, as make test does",
	} {
		if _, err := exec.LookPath(command); err != nil {
			t.Fatalf("the commands of docs/protocol.md need %s: %s", command, advice)
		}
	}
	hub, web := serveWeb(t, nil)
	return &handwork{t: t, hub: hub, mount: web.base, names: aliases{}}
}

// fence runs a block, or returns it with the answer that came.
func (h *handwork) fence(block string) string {
	parts := fences.FindStringSubmatch(block)
	info, text := parts[1], parts[2]
	switch {
	case info == "sh" && h.preamble == "":
		h.preamble = strings.Replace(text, "http://127.0.0.1:8080/im", h.mount, 1)
		if !strings.Contains(h.preamble, h.mount) {
			h.t.Fatal("the first block of the section does not set HUB to the URL that this test replaces")
		}
		return block
	case info == "sh", info == "sh meanwhile":
		if h.open != "" {
			h.t.Errorf("no block text follows this command:\n%s", h.open)
		}
		h.commands++
		h.open = text
		if info == "sh" {
			h.endStream()
		}
		h.run(text)
		return block
	case info == "text stream":
		h.printed = h.stream.read(h.t, text)
	case info != "text":
		h.t.Errorf("a block %q: want sh, sh meanwhile, text or text stream", info)
		return block
	}
	h.open = ""
	got := h.names.answer(h.printed)
	if sameLines(got, text) {
		got = text // acks and events have no fixed order
	}
	return "```" + info + "\n" + got + "```"
}

// run runs a command to its end, or opens a stream.
func (h *handwork) run(command string) {
	h.t.Helper()
	script := h.preamble + "exec " + h.names.restore(h.t, command)
	if strings.Contains(command, "/sse?") {
		h.stream = openStream(h.t, script)
		return
	}
	raw := h.output(script)
	for h.printed = online.ReplaceAllString(raw, ""); h.printed == "[]" && raw != "[]"; {
		raw = h.output(script) // a poll that was answered with nothing but a count
		h.printed = online.ReplaceAllString(raw, "")
	}
}

func (h *handwork) output(script string) string {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", script)
	in, err := cmd.StdinPipe() // wscat ends with its input
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			out = append(out, exit.Stderr...)
		}
		h.t.Fatalf("%v\n%s\n%s", err, script, out)
	}
	return string(out)
}

// online finds a message "online", with what separates it from others.
var online = regexp.MustCompile(`,\n?\{"op":"online"[^}]*\}|\{"op":"online"[^}]*\},?\n?`)

// endStream ends the stream, and returns when the hub has noticed.
func (h *handwork) endStream() {
	if h.stream == nil {
		return
	}
	h.stream.close()
	h.stream = nil
	for deadline := time.Now().Add(10 * time.Second); h.hub.Room("42").Len()+h.hub.Room("43").Len() > 0; {
		if time.Now().After(deadline) {
			h.t.Fatal("a stream has ended, and its viewer is still in the room")
		}
		<-time.After(5 * time.Millisecond)
	}
}

// eventStream is a command that prints server-sent events until it is ended.
type eventStream struct {
	cmd    *exec.Cmd
	cancel context.CancelFunc
	out    *os.File
	lines  *bufio.Reader
	event  string // of which not all has come
}

func openStream(t *testing.T, script string) *eventStream {
	t.Helper()
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", script)
	cmd.Stdout, cmd.Stderr = in, os.Stderr
	err = cmd.Start()
	_ = in.Close()
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	s := &eventStream{cmd: cmd, cancel: cancel, out: out, lines: bufio.NewReader(out)}
	t.Cleanup(s.close)
	return s
}

// close may be called again.
func (s *eventStream) close() {
	s.cancel()
	_ = s.cmd.Wait() // says that it was killed
	_ = s.out.Close()
}

// read returns as many events as the document has; with -update, what comes until it is quiet.
func (s *eventStream) read(t *testing.T, want string) string {
	t.Helper()
	if s == nil {
		t.Fatal("a block of a stream, and none is open")
	}
	patience := 10 * time.Second
	if *update {
		patience = time.Second
	}
	var events []string
	for *update || len(events) < strings.Count(want, "\n\n")+1 {
		_ = s.out.SetReadDeadline(time.Now().Add(patience))
		line, err := s.lines.ReadString('\n')
		s.event += line
		if err != nil {
			break // what came is not what the document has
		}
		if line != "\n" {
			continue
		}
		if !strings.HasPrefix(s.event, ":") && !online.MatchString(s.event) {
			events = append(events, s.event)
		}
		s.event = ""
	}
	return strings.TrimSuffix(strings.Join(events, ""), "\n")
}

// aliases are the names that the document has for ids.
type aliases map[string]string

var (
	realIDs  = regexp.MustCompile(`"(sid|epoch|event|id)":"([^"]{16,})"|^(i)d: ([^.,]+)\.`)
	shortIDs = regexp.MustCompile(`\b[ems][0-9]+\b`)
	times    = regexp.MustCompile(`"at":[0-9]+`)
)

// answer is what a command printed, as the document has it.
func (a aliases) answer(printed string) string {
	var out []string
	for line := range strings.Lines(printed) {
		line = strings.TrimSuffix(line, "\n")
		for _, m := range realIDs.FindAllStringSubmatch(line, -1) {
			a.name(m[1]+m[3], m[2]+m[4])
		}
		for id, name := range a {
			line = strings.ReplaceAll(line, id, name)
		}
		out = append(out, breakLine(times.ReplaceAllString(line, `"at":1764000000000`)))
	}
	return strings.Join(out, "\n") + "\n"
}

// name gives the id a name if it has none.
func (a aliases) name(field, id string) {
	letter := map[string]string{"sid": "s", "epoch": "e", "i": "e", "event": "m", "id": "m"}[field]
	if _, ok := a[id]; ok {
		return
	}
	n := 1
	for _, other := range a {
		if strings.HasPrefix(other, letter) {
			n++
		}
	}
	a[id] = letter + strconv.Itoa(n)
}

// restore puts the ids back into a command.
func (a aliases) restore(t *testing.T, command string) string {
	t.Helper()
	return shortIDs.ReplaceAllStringFunc(command, func(name string) string {
		for id, other := range a {
			if other == name {
				return id
			}
		}
		t.Fatalf("nothing has been called %s when this command comes:\n%s", name, command)
		return ""
	})
}

// breakLine breaks a long line between the fields of JSON.
func breakLine(line string) string {
	const width = 140
	var out strings.Builder
	for len(line) > width {
		at := strings.LastIndex(line[:width], `,"`) + 1
		if brace := strings.LastIndex(line[:width], `,{`) + 1; brace > at {
			at = brace
		}
		if at == 0 {
			break
		}
		out.WriteString(line[:at] + "\n  ")
		line = line[at:]
	}
	return out.String() + line
}

// sameLines reports whether both hold the same lines, in any order.
func sameLines(a, b string) bool {
	sorted := func(s string) []string {
		lines := strings.Split(strings.ReplaceAll(s, "\n  ", ""), "\n")
		slices.Sort(lines)
		return lines
	}
	return slices.Equal(sorted(a), sorted(b))
}
