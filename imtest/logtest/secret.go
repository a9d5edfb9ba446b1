package logtest

import (
	"bytes"
	"testing"

	"github.com/liveim/im"
)

// testSecret checks the secret of an im.SecretLog, also over a restart if reopen is not nil.
func testSecret(f *fixture, reopen func(t *testing.T, old im.Log) im.Log) {
	first := bytes.Clone(f.secret())
	if len(first) < 16 {
		f.Fatalf("Secret has %d bytes: a SecretLog has at least 16", len(first))
	}
	if !bytes.Equal(f.secret(), first) {
		f.Fatalf("Secret returns other bytes the second time: it stays the same for as long as the events are there")
	}
	if reopen == nil {
		return
	}
	f.store(f.room, Events(im.Critical, "a")...)
	f.log = reopen(f.t, f.log)
	if !bytes.Equal(f.secret(), first) {
		f.Fatalf("Secret returns other bytes after a restart: retries would look like conflicts")
	}
}

func (f *fixture) secret() []byte {
	l, ok := f.log.(im.SecretLog)
	if !ok {
		f.Fatalf("the log is a SecretLog no more after a restart")
	}
	return l.Secret()
}
