package moderate_test

import (
	"context"
	"testing"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/client"
)

// Every method of the Go client meets the operation that it is for, and understands its answer.
func TestByTheGoClient(t *testing.T) {
	s := newSite(t)
	ctx := t.Context()
	enter := func(token string) *client.Room {
		c, err := client.Dial(ctx, s.url+"/ws", &client.Options{Token: func(context.Context) (string, error) { return token, nil }})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		r, err := c.Join(ctx, "42", &client.JoinOptions{NoUpdates: true})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	boss, bob := enter("boss:moderator").Moderation(), enter("bob")
	said, err := s.hub.Room("42").Send(ctx, im.Chat, map[string]string{"text": "hi"}, im.AsUser(im.User{ID: "bob"}))
	if err != nil {
		t.Fatal(err)
	}
	try := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	who := client.Offender{User: "bob"}
	muted, err := boss.Mute(ctx, who, time.Hour, "loud")
	try("mute", err)
	_, err = boss.Shadow(ctx, who, time.Hour, "")
	try("shadow", err)
	list, err := boss.Sanctions(ctx, false)
	try("sanctions", err)
	if len(muted) != 1 || len(list) != 2 || muted[0].Target.User != "bob" || muted[0].Until.IsZero() {
		t.Errorf("imposed is %+v, in force %+v", muted, list)
	}
	try("unmute", boss.Unmute(ctx, who))
	try("unshadow", boss.Unshadow(ctx, who))
	try("report", bob.Moderation().Report(ctx, said.Pos.Seq, "me"))
	reports, err := boss.Reports(ctx)
	try("reports", err)
	if len(reports) != 1 || reports[0].User != "bob" {
		t.Fatalf("reported is %+v", reports)
	}
	try("resolve", boss.Resolve(ctx, reports[0].ID, "fine"))
	try("pin", boss.PinMessage(ctx, said.Pos.Seq, time.Minute))
	try("pin a text", boss.PinText(ctx, "rules", "be kind", 0))
	try("unpin", boss.Unpin(ctx, "rules"))
	try("announce", boss.Announce(ctx, "soon"))
	try("modes", boss.SetModes(ctx, im.Modes{Slow: time.Millisecond}))
	try("approve", boss.Approve(ctx, im.Chat))
	for _, text := range []string{"one", "two"} {
		if r, err := bob.Send(ctx, im.Chat, text); err != nil || r.Status != client.StatusHeld {
			t.Fatalf("%s: %+v, %v", text, r, err)
		}
		<-time.After(2 * time.Millisecond) // slow mode
	}
	waiting, err := boss.Waiting(ctx)
	try("waiting", err)
	if len(waiting) != 2 || waiting[0].From.ID != "bob" {
		t.Fatalf("waiting are %+v", waiting)
	}
	try("pass", boss.Pass(ctx, waiting[0].Event))
	try("refuse", boss.Refuse(ctx, waiting[1].Event, "no"))
	try("approve nothing", boss.Approve(ctx))
	try("delete", boss.Delete(ctx, "odd", said.Pos.Seq))
	try("delete all", boss.DeleteAll(ctx, "bob", "all odd"))
	why, err := boss.Why(ctx, "bob", "")
	try("why", err)
	if len(why) < 8 || why[0].Action != "delete" || why[0].By != "boss" {
		t.Errorf("why is %+v", why)
	}
	try("kick", boss.Kick(ctx, "bob", "out"))
	_, err = boss.Ban(ctx, who, 0, "for good")
	try("ban", err)
	try("unban", boss.Unban(ctx, who))
}
