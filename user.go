package im

import (
	"encoding/json"
	"net/http"
	"slices"
	"time"
)

// User is who a session acts for. The host's [Authenticator] makes it; the hub
// copies it and never changes it.
type User struct {
	// ID names the user: 1 to 128 bytes of valid UTF-8 without control
	// characters. Sessions with equal IDs are devices of one user. Required.
	ID string `json:"id"`
	// Name is what others see. Defaults to the ID; up to 256 bytes.
	Name string `json:"name,omitempty"`
	// Roles are what the user may do, as the host names it, for example "host"
	// and "moderator". See KindSpec.From.
	Roles []string `json:"roles,omitempty"`
	// Attrs is one JSON value of the host's, handed to its hooks and shown to
	// nobody. Optional.
	Attrs json.RawMessage `json:"-"`
	// Expires is when the identity ends. The session is closed then, unless it
	// was refreshed with a new token. Zero means never.
	Expires time.Time `json:"-"`
}

// HasRole reports whether the user has the role.
func (u *User) HasRole(role string) bool { return slices.Contains(u.Roles, role) }

func (u *User) author() Author { return Author{ID: u.ID, Name: u.Name} }

// Authenticator says who makes a request. It returns an error to refuse it,
// an *[Error] to choose what the client is told, or [ErrNoCredentials] if the
// request carries nothing that names a user: over WebSocket the client may then
// send its token in "hello". Any other error is for the client as if the token were
// bad, CodeUnauthorized: return an *Error with CodeInternal where it is the host that fails.
//
// A token from "hello" or "refresh" is presented as
// a copy of the first request with the header "Authorization: Bearer <token>".
//
// It is called from many goroutines at once, may block, and should honour the
// request's context.
type Authenticator func(r *http.Request) (User, error)
