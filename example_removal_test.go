package im_test

import (
	"context"
	"fmt"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest"
)

// A moderator's operation deletes one message, or what somebody has sent in the last ten minutes.
func ExampleRoom_Remove() {
	hub, err := im.New(imtest.BearerUser, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = hub.Close() }()
	hub.Handle("mod.delete", func(ctx context.Context, r *im.Request) (any, error) {
		if !r.User.HasRole("moderator") {
			return nil, &im.Error{Code: im.CodeForbidden}
		}
		what, err := im.Decode[struct{ Event, User string }](&im.Event{Body: r.Body})
		if err != nil {
			return nil, &im.Error{Code: im.CodeBadRequest}
		}
		removal := im.Removal{User: what.User}
		if what.User != "" {
			removal.Since = time.Now().Add(-10 * time.Minute)
		}
		if what.Event != "" {
			removal.IDs = []string{what.Event}
		}
		_, err = hub.Room(r.Room).Remove(ctx, removal)
		return nil, err
	})
	// In the page: client.call('mod.delete', '42', { event: e.id })
	//              room.on('removed', ({ has }) => …)

	ctx, room := context.Background(), hub.Room("42")
	rude, _ := room.Send(ctx, im.Chat, "rude", im.AsUser(im.User{ID: "u7"}))
	_, _ = room.Send(ctx, im.Chat, "kind", im.AsUser(im.User{ID: "u8"}))
	_, _ = room.Remove(ctx, im.Removal{Positions: []im.Position{rude.Pos}, Reason: "be nice"})
	page, _ := room.History(ctx, im.HistoryQuery{})
	for _, e := range page.Events {
		if d, ok := im.DeletionOf(e); ok {
			fmt.Println("deleted:", len(d.Seqs), d.Reason)
			continue
		}
		fmt.Println(string(e.Body))
	}
	// Output:
	// "kind"
	// deleted: 1 be nice
}
