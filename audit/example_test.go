package audit_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"golang.org/x/mod/sumdb/note"

	"github.com/liveim/im/audit"
)

// A log is opened, written and verified, with a checkpoint in somebody else's hands; then a byte changes.
func Example() {
	ctx := context.Background()
	parent, err := os.MkdirTemp("", "audit")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(parent)
	dir := filepath.Join(parent, "log")

	// Once, and then kept in two places: the private key with the server's secrets, the public key with whoever verifies.
	private, public, err := note.GenerateKey(rand.Reader, "live.example/audit")
	if err != nil {
		log.Fatal(err)
	}

	signer, err := note.NewSigner(private)
	if err != nil {
		log.Fatal(err)
	}
	l, err := audit.Open(dir, &audit.Options{Signer: signer})
	if err != nil {
		log.Fatal(err)
	}
	for _, user := range []string{"u7", "u8", "u9"} {
		err := l.Record(ctx, "moderate.mute", map[string]any{"room": "42", "user": user, "by": "mod1", "minutes": 10})
		if err != nil {
			log.Fatal(err)
		}
	}
	kept, err := l.Checkpoint(ctx)
	if err != nil {
		log.Fatal(err)
	}

	// u8 wants to be forgotten.
	n, err := l.Erase(ctx, func(e audit.Entry) bool { return e.Text("user") == "u8" })
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("erased", n)
	for e, err := range l.Entries(ctx, audit.Query{Action: "moderate."}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(e.Index, e.Action, e.Text("user"), e.Erased)
	}
	if err := l.Close(); err != nil {
		log.Fatal(err)
	}

	verifier, err := note.NewVerifier(public)
	if err != nil {
		log.Fatal(err)
	}
	report, err := audit.Verify(ctx, dir, note.VerifierList(verifier), kept)
	fmt.Println(report.Entries, report.Erased, err)

	if err := flip(filepath.Join(dir, "entries"), 2*128); err != nil {
		log.Fatal(err)
	}
	_, err = audit.Verify(ctx, dir, note.VerifierList(verifier), kept)
	if fault, ok := errors.AsType[*audit.Fault](err); ok {
		fmt.Println(fault.Index, fault.Kind)
	}
	// Output:
	// erased 1
	// 0 moderate.mute u7 false
	// 1 moderate.mute  true
	// 2 moderate.mute u9 false
	// 4 1 <nil>
	// 2 damaged
}

func flip(name string, at int) error {
	data, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	data[at] ^= 1
	return os.WriteFile(name, data, 0o600)
}
