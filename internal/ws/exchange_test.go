package ws

import (
	"io"
	"net"
	"net/http/httptest"
	"testing"
)

// exchange sends raw bytes to srv and returns all that comes back until the
// server closes.
func exchange(t *testing.T, srv *httptest.Server, raw string) string {
	t.Helper()
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, raw); err != nil {
		t.Fatal(err)
	}
	reply, _ := io.ReadAll(conn) // a reset after the reply is as good as an end
	return string(reply)
}
