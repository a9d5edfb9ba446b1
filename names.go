package im

import (
	"fmt"
	"unicode"
	"unicode/utf8"
)

// maxID bounds room and user ids, maxName what is shown of a user.
const (
	maxID   = 128
	maxName = 256
	maxCID  = 64
)

// validID reports whether s may name a room or a user: 1 to max bytes of valid
// UTF-8 without control characters and line separators, so that it stays one word
// in logs and URLs.
func validID(s string, max int) bool {
	if s == "" || len(s) > max || !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if unicode.IsControl(r) || r == 0x2028 || r == 0x2029 {
			return false
		}
	}
	return true
}

func checkRoomID(id string) error {
	if !validID(id, maxID) {
		return errorf(CodeBadRequest, "a room id is 1 to %d bytes of UTF-8 without control characters", maxID)
	}
	return nil
}

// checkCID checks the id that a client gave its send.
func checkCID(cid string) error {
	if len(cid) > maxCID {
		return errorf(CodeBadRequest, "a cid is at most %d bytes", maxCID)
	}
	for i := range len(cid) {
		if cid[i] <= ' ' || cid[i] > '~' {
			return errorf(CodeBadRequest, "a cid is printable ASCII without spaces")
		}
	}
	return nil
}

// check reports what is wrong with a user that an Authenticator returned.
func (u *User) check() error {
	switch {
	case !validID(u.ID, maxID):
		return fmt.Errorf("User.ID %q: want 1 to %d bytes of UTF-8 without control characters", u.ID, maxID)
	case u.Name != "" && !validID(u.Name, maxName):
		return fmt.Errorf("User.Name %q: want at most %d bytes of UTF-8 without control characters", u.Name, maxName)
	}
	return nil
}
