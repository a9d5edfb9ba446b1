package im_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest"
)

// durableLog is a memory log that says it is more.
type durableLog struct{ *im.MemoryLog }

func (durableLog) Durability() im.Durability { return im.DurabilityLocalFsync }

func TestSecretOfTheLog(t *testing.T) {
	kept := newKeptLog(t, nil)
	short := newKeptLog(t, nil)
	short.secret = []byte("short")
	for _, tt := range []struct {
		name   string
		log    im.Log
		secret []byte
		warns  bool
		fails  string
	}{
		{"memory log", nil, nil, false, ""},
		{"log with a secret", kept, nil, false, ""},
		{"durable log without one", durableLog{kept.MemoryLog}, nil, true, ""},
		{"durable log, secret of the host", durableLog{kept.MemoryLog}, bytes.Repeat([]byte("x"), 16), false, ""},
		{"secret of the log too short", short, nil, false, "Options.Log"},
		{"secret of the host goes first", short, bytes.Repeat([]byte("x"), 16), false, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			hub, err := im.New(imtest.BearerUser, &im.Options{Log: tt.log, Secret: tt.secret, Logger: slog.New(slog.NewTextHandler(&out, nil))})
			if (err != nil) != (tt.fails != "") || err != nil && !strings.Contains(err.Error(), tt.fails) {
				t.Fatalf("New: %v", err)
			}
			if err == nil {
				_ = hub.Close()
			}
			if warns := strings.Contains(out.String(), "Set Options.Secret"); warns != tt.warns {
				t.Errorf("the log of the hub says %q", out.String())
			}
		})
	}
}
