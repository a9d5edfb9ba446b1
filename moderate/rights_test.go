package moderate_test

import (
	"strings"
	"testing"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest"
	"github.com/liveim/im/moderate"
)

// A13: every role, every operation: who lacks the right is refused, whatever the body; who has it is not refused for that.
func TestA13RightsMatrix(t *testing.T) {
	roles := []string{"", "guest", "member", "moderator", "owner"}
	has := func(role string, right moderate.Right) bool {
		for _, r := range moderate.DefaultRights()[moderate.RoleOf(user("x", role), "42")] {
			if r == right {
				return true
			}
		}
		return false
	}
	bubble(t, nil, func(t *testing.T, hub *imtest.Hub, _ *moderate.Moderation) {
		n := 0
		for _, role := range roles {
			v := hub.Join("42", user("u-"+role, role))
			for op, right := range moderate.Operations() {
				for _, body := range []string{`{}`, `{"user":"bob"}`, `{"user":"bob","hub":true}`} {
					err := call(t, v, op, body, nil)
					lacks := code(err) == im.CodeForbidden && strings.Contains(err.Error(), "you lack the right")
					want := !has(role, right) || strings.Contains(body, "hub") && !has(role, moderate.MayHub)
					if lacks != want {
						t.Errorf("a %q calls %s with %s: %v", role, op, body, err)
					}
					n++
				}
				if _, err := v.Call(op, "43", nil); code(err) != im.CodeNotJoined {
					t.Errorf("a %q calls %s of a room in which it is not: %v", role, op, err)
				}
			}
		}
		t.Logf("%d combinations", n)
	})
}

// Nobody acts against those who do not stand below.
func TestRankCounts(t *testing.T) {
	bubble(t, nil, func(t *testing.T, hub *imtest.Hub, _ *moderate.Moderation) {
		boss := hub.Join("42", user("mod", "moderator"))
		hub.Join("42", user("mod2", "moderator"))
		owner := hub.Join("42", user("ann", "owner"))
		for _, op := range []string{"mod.mute", "mod.ban", "mod.shadow", "mod.kick", "mod.delete"} {
			for _, who := range []string{"mod", "mod2", "ann"} {
				err := call(t, boss, op, `{"user":"`+who+`"}`, nil)
				if own := op == "mod.delete" && who == "mod"; own != (err == nil) || !own && code(err) != im.CodeForbidden {
					t.Errorf("a moderator does %s to %s: %v", op, who, err)
				}
			}
		}
		must(t, owner, "mod.mute", `{"user":"mod2"}`)
	})
}

func TestOptionsAreChecked(t *testing.T) {
	bubble(t, nil, func(t *testing.T, _ *imtest.Hub, _ *moderate.Moderation) {
		for want, o := range map[string]*moderate.Options{
			"Checks":    {Checks: []moderate.Check{nil}},
			"Queue":     {Queue: -1},
			"QueueFor":  {QueueFor: 1},
			"Decisions": {Decisions: 1 << 30},
			"Rights":    {Rights: moderate.Rights{moderate.Viewer: {"fly"}}},
		} {
			hub := imtest.NewHub(t, nil)
			if _, err := moderate.New(hub.Hub, o); err == nil || !strings.Contains(err.Error(), "Options."+want) {
				t.Errorf("%s: %v", want, err)
			}
		}
	})
}
