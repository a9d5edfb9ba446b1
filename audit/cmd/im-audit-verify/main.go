// Im-audit-verify checks the log in a directory, which may be in use:
//
//	im-audit-verify -key <public key> <directory> [checkpoint file ...]
//
// Checkpoint files are what was kept elsewhere, one checkpoint each: the log must continue them. It exits with 1 if the log is not
// what was written, and says which entry is the first that is bad, and with 2 if it could not tell.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"golang.org/x/mod/sumdb/note"

	"github.com/liveim/im/audit"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, out, stderr io.Writer) int {
	err := verify(args, out, stderr)
	if err == nil {
		return 0
	}
	fmt.Fprintln(stderr, err)
	if _, bad := errors.AsType[*audit.Fault](err); bad {
		return 1
	}
	return 2
}

func verify(args []string, out, usage io.Writer) error {
	flags := flag.NewFlagSet("im-audit-verify", flag.ContinueOnError)
	flags.SetOutput(usage)
	key := flags.String("key", "", "public `key` of whoever signed the checkpoints, as note.GenerateKey made it")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() == 0 {
		return errors.New("give the directory of the log")
	}
	v, err := note.NewVerifier(*key)
	if err != nil {
		return fmt.Errorf("the key %q: %w", *key, err)
	}
	var kept [][]byte
	for _, name := range flags.Args()[1:] {
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		kept = append(kept, data)
	}
	r, err := audit.Verify(context.Background(), flags.Arg(0), note.VerifierList(v), kept...)
	fmt.Fprintf(out, "log %q: %d entries are good, %d under the newest of %d checkpoints; %d erased, %d to be erased; torn end: %t\n",
		r.Origin, r.Entries, r.Newest.Size, r.Checkpoints, r.Erased, r.Unfinished, r.Torn)
	return err
}
