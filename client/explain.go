package client

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/liveim/im"
	"github.com/liveim/im/internal/wire"
)

// Explain asks why a user does not see, or may not send, in the room, as the server that the client is
// connected to knows it. It is for the staff of the room; others get im.CodeForbidden.
func (r *Room) Explain(ctx context.Context, userID string) (im.Explanation, error) {
	raw, err := encode(map[string]string{"user": userID})
	if err != nil {
		return im.Explanation{}, err
	}
	a, err := r.c.do(ctx, &call{req: wire.Request{Op: wire.OpExplain, Room: r.name, Body: raw}, room: r, keep: true})
	if err != nil {
		return im.Explanation{}, err
	}
	var x im.Explanation
	if err := json.Unmarshal(a.msg.Body, &x); err != nil {
		return im.Explanation{}, fmt.Errorf("client: the explanation does not decode: %w", err)
	}
	return x, nil
}
