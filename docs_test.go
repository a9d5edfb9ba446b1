package im_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/liveim/im"
)

var codes = []im.Code{
	im.CodeBadRequest, im.CodeUnauthorized, im.CodeExpired, im.CodeForbidden, im.CodeOrigin, im.CodeNotFound,
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
