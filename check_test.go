package im_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/liveim/im"
)

func TestCheckWarnsOfMissingSettings(t *testing.T) {
	hub, err := im.New(anybody, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = hub.Close() }()
	bare := strings.Join(hub.Check(&http.Server{}), "\n")
	for _, field := range []string{"ReadHeaderTimeout", "IdleTimeout", "MaxHeaderBytes", "Handler", "Options.Log"} {
		if !strings.Contains(bare, field) {
			t.Errorf("a bare server: nothing is said of %s:\n%s", field, bare)
		}
	}
	good := hub.Check(&http.Server{ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10, Handler: hub})
	if len(good) != 1 || !strings.Contains(good[0], "memory log") {
		t.Errorf("a good server on the memory log: %q", good)
	}
	if odd := hub.Check(&http.Server{ReadHeaderTimeout: time.Minute, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10, Handler: hub, WriteTimeout: time.Second}); len(odd) != 3 {
		t.Errorf("%q", odd)
	}
}
