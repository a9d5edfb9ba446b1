package moderate_test

import (
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest"
	"github.com/liveim/im/moderate"
)

// fast is who may send and ask as much as a test likes.
var fast = im.Limits{
	User:     map[im.Kind]im.Limit{im.Chat: im.Unlimited, im.Danmaku: im.Unlimited},
	Room:     map[im.Kind]im.Limit{im.Chat: im.Unlimited},
	Requests: im.Unlimited, Connection: im.Unlimited,
}

// bubble runs a test of a moderated hub in virtual time.
func bubble(t *testing.T, o *moderate.Options, test func(t *testing.T, hub *imtest.Hub, mod *moderate.Moderation)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		hub := imtest.NewHub(t, &im.Options{Limits: fast})
		mod, err := moderate.New(hub.Hub, o)
		if err != nil {
			t.Fatal(err)
		}
		defer mod.Close()
		test(t, hub, mod)
	})
}

func user(id string, roles ...string) im.User { return im.User{ID: id, Roles: roles} }

func code(err error) im.Code {
	if e, ok := errors.AsType[*im.Error](err); ok {
		return e.Code
	}
	return ""
}

// call calls an operation in room 42 and decodes its answer.
func call(t *testing.T, v *imtest.Viewer, op, body string, into any) error {
	t.Helper()
	raw, err := v.Call(op, "42", json.RawMessage(body))
	if err == nil && into != nil {
		if err := json.Unmarshal(raw, into); err != nil {
			t.Fatalf("%s is answered with %s: %v", op, raw, err)
		}
	}
	return err
}

func must(t *testing.T, v *imtest.Viewer, op, body string) {
	t.Helper()
	if err := call(t, v, op, body, nil); err != nil {
		t.Fatalf("%s %s: %v", op, body, err)
	}
}

// next is the next thing of an op that a viewer is told, within a second.
func next(t *testing.T, v *imtest.Viewer, op string) imtest.Update {
	t.Helper()
	for {
		u, ok := v.TryNext(time.Second)
		if !ok {
			t.Fatalf("no %s came", op)
		}
		if u.Op == op {
			return u
		}
	}
}

// texts are the bodies of the chat that a viewer is shown within a second.
func texts(v *imtest.Viewer) (all []string) {
	for {
		u, ok := v.TryNext(time.Second)
		if !ok {
			return all
		}
		if u.Op == "event" && (u.Event.Kind == im.Chat || u.Event.Kind == im.Danmaku) {
			all = append(all, string(u.Event.Body))
		}
	}
}
