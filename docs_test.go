package im_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/liveim/im"
)

var codes = []im.Code{
	im.CodeBadRequest, im.CodeUnauthorized, im.CodeExpired, im.CodeForbidden, im.CodeRoomMode, im.CodeOrigin, im.CodeNotFound,
	im.CodeNotJoined, im.CodeConflict, im.CodeRoomClosed, im.CodeKicked, im.CodeTooLarge, im.CodeRateLimited,
	im.CodeOverloaded, im.CodeTimeout, im.CodeSlowConsumer, im.CodeShutdown, im.CodeInternal,
}

// The table of errors in docs/protocol.md is the one that the code has.
func TestProtocolErrorTable(t *testing.T) {
	const begin, end = "<!-- errors:begin -->\n", "<!-- errors:end -->"
	var table strings.Builder
	table.WriteString("\n| code | HTTP | close | retry | meaning |\n|---|---|---|---|---|\n")
	for _, c := range codes {
		_, reason, _ := strings.Cut((&im.Error{Code: c}).Error(), string(c)+": ")
		fmt.Fprintf(&table, "| `%s` | %d | %d | %s | %s |\n", c, c.HTTPStatus(), c.CloseCode(), c.Retry(), reason)
	}
	table.WriteString("\n")
	doc, err := os.ReadFile("docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(doc), begin)
	old, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatal("docs/protocol.md lacks the marks of the error table")
	}
	if old == table.String() {
		return
	}
	if *update {
		if err := os.WriteFile("docs/protocol.md", []byte(before+begin+table.String()+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Errorf("docs/protocol.md has another table of errors; rewrite it with go test -run ErrorTable -update .\n%s", table.String())
}

// The README's first program, pasted into an empty module, serves a room.
func TestReadmeProgram(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(readme), "```go\n")
	program, _, ok := strings.Cut(rest, "```")
	if n := strings.Count(program, "\n"); !ok || n > 20 {
		t.Fatalf("the README's program has %d lines, want at most 20", n)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := listener.Addr().String()
	_ = listener.Close()
	dir := t.TempDir()
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	sums, err := os.ReadFile("go.sum")
	if err != nil {
		t.Fatal(err)
	}
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	// The module's own requirements, so that nothing has to be looked up.
	requirements := string(mod)[strings.Index(string(mod), "go 1."):]
	for name, content := range map[string]string{
		"main.go": strings.Replace(program, "127.0.0.1:8080", addr, 1),
		"go.mod":  "module example.com/site\n\n" + requirements + "\nrequire github.com/liveim/im v0.0.0\n\nreplace github.com/liveim/im => " + root + "\n",
		"go.sum":  string(sums),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-o", "site", ".")
	build.Dir, build.Env = dir, append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	site := exec.CommandContext(t.Context(), filepath.Join(dir, "site"))
	if err := site.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = site.Process.Kill()
		_ = site.Wait()
	}()
	var s *socket
	for deadline := time.Now().Add(10 * time.Second); ; {
		if s, err = tryDial(t, "ws://"+addr+"/im/ws", nil); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		<-time.After(20 * time.Millisecond)
	}
	s.expect("welcome")
	s.send(`{"op":"join","id":1,"room":"42"}`)
	s.expect("joined")
	s.send(`{"op":"send","id":2,"room":"42","kind":"danmaku","cid":"c-1","body":{"text":"hi"}}`)
	if m := s.expect("events"); string(m.Events[0].Body) != `{"text":"hi"}` {
		t.Fatalf("%+v", m)
	}
}
