//go:build !linux || portable || mips || mipsle || mips64 || mips64le

package uring

// Ring cannot be made in this build.
type Ring struct{}

// Probe returns [ErrUnavailable].
func Probe() error { return ErrUnavailable }

// New returns [ErrUnavailable].
func New(int) (*Ring, error) { return nil, ErrUnavailable }

// Cap returns 0.
func (*Ring) Cap() int { return 0 }

// Len returns 0.
func (*Ring) Len() int { return 0 }

// Send panics, as on a full ring.
func (*Ring) Send(int, []byte) { panic(ErrUnavailable) }

// Sendv panics, as on a full ring.
func (*Ring) Sendv(int, [][]byte) { panic(ErrUnavailable) }

// Submit returns [ErrUnavailable].
func (*Ring) Submit() ([]int32, error) { return nil, ErrUnavailable }

// Close does nothing.
func (*Ring) Close() error { return nil }
