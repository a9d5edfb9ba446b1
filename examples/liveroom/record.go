package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/mod/sumdb/note"

	"github.com/liveim/im/audit"
)

const (
	auditDir    = "audit"
	auditKey    = "audit.key" // private: whoever has it can sign another history
	auditPublic = "audit.pub" // for im-audit-verify
)

// record is where moderation and money are noted: what was done cannot be rewritten unnoticed. Without -data
// there is none, and nothing is noted.
type record struct{ log *audit.Log }

func openRecord(dir string) (*record, error) {
	if dir == "" {
		return &record{}, nil
	}
	signer, err := signerOf(dir)
	if err != nil {
		return nil, fmt.Errorf("-data %s: %w", dir, err)
	}
	log, err := audit.Open(filepath.Join(dir, auditDir), &audit.Options{Signer: signer})
	if err != nil {
		return nil, fmt.Errorf("-data %s: %w", dir, err)
	}
	return &record{log}, nil
}

// signerOf reads the key that signs the record, and makes one at the first start. A real site keeps it elsewhere.
func signerOf(dir string) (note.Signer, error) {
	path := filepath.Join(dir, auditKey)
	key, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		var public, private string
		if private, public, err = note.GenerateKey(rand.Reader, "liveroom"); err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(dir, auditPublic), []byte(public), 0o644); err != nil {
			return nil, err
		}
		key, err = []byte(private), os.WriteFile(path, []byte(private), 0o600)
	}
	if err != nil {
		return nil, err
	}
	return note.NewSigner(string(key))
}

// note is the Audit of the packages.
func (r *record) note(ctx context.Context, action string, detail any) error {
	if r.log == nil {
		return nil
	}
	return r.log.Record(ctx, action, detail)
}

func (r *record) close() error {
	if r.log == nil {
		return nil
	}
	return r.log.Close()
}
