// Package client connects Go programs to a hub of live rooms: bots, bridges,
// load generators, tests, apps.
//
//	c, err := client.Dial(ctx, "wss://example.org/im/ws", &client.Options{Token: token})
//	...
//	defer c.Close()
//	room, err := c.Join(ctx, "42", nil)
//	...
//	for u := range room.Updates(ctx) {
//		switch u := u.(type) {
//		case client.Reset: // start from u.State; forget what was before
//		case client.Event: // u.Kind, u.From, im.Decode[T](u.Event)
//		case client.Removed: // u.Deletes(e) tells which events a moderator has deleted
//		case client.Gap: // u.Missed danmaku were left out
//		}
//	}
//
// # Connections
//
// A [Client] has one connection at a time and connects again by itself, after a
// delay drawn with full jitter, until [Client.Close] or until the server refuses
// it for good. It then joins its rooms again from where each of them was.
// Nothing is lost in silence: a room either goes on where it was, and says so
// with [Resumed], or starts anew with [Reset].
//
// # Requests
//
// A request waits for the connection if there is none, and its context bounds
// the wait. What happens to a request whose connection is lost before the
// answer:
//
//   - [Room.Send], [Room.Set], [Room.Increment], [Room.Delete] and [Client.Call] carry a client id,
//     the cid, and are sent again under it after the reconnect. They have one
//     effect however often that happens, and return the first answer.
//   - [Room.History] only reads, and is sent again.
//   - [Client.Join] and [Room.SetTier] are part of the resume.
//   - [Room.Leave] is done, since the new connection does not join.
//   - [Client.Ping] and [Client.Refresh] fail with [ErrConnLost].
//
// # Applications that do not keep up
//
// Each room has a buffer of [JoinOptions.Buffer] updates. While one is full the
// client does not read from its connection, which the server notices; it leaves
// out volatile events, and says how many with [Gap]. So memory is bounded, and
// an application that is busy for a while sees fewer danmaku, but all of the
// chat. One that is busy for longer than the server waits for a sign of life is
// disconnected, and resumes when it is back.
//
// One connection carries all rooms, so a full room holds up the others. To keep
// that from blocking an application that waits for an answer in the middle of
// its loop over updates, the client reads on while a request is under way. What
// comes then for a full room is dropped, and fetched again by a new join from the same
// position once the application has caught up.
//
// # Names
//
// In every request the room, the kind and the cid are subject to the rules of
// the protocol (docs/protocol.md); the server checks them.
package client
