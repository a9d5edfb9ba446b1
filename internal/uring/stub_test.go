//go:build !linux || portable || mips || mipsle || mips64 || mips64le

package uring

import (
	"errors"
	"testing"
)

func TestTheStubSaysThatThereIsNone(t *testing.T) {
	if err := Probe(); !errors.Is(err, ErrUnavailable) {
		t.Errorf("Probe: %v", err)
	}
	r, err := New(64)
	if r != nil || !errors.Is(err, ErrUnavailable) {
		t.Errorf("New: %v, %v", r, err)
	}
	if r.Cap() != 0 || r.Len() != 0 || r.Close() != nil {
		t.Error("a nil ring of the stub should be empty and closable")
	}
}
