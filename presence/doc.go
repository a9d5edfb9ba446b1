// Package presence says who is in the rooms of a hub: which users, exactly, in a room of ordinary size;
// how many, some of those who come, and those of highest rank, in a large one.
//
//	hub, err := im.New(auth, nil)
//	people, err := presence.New(hub, nil) // before the hub serves
//	...
//	defer people.Close()
//	for m := range people.Members("42") { … }
//
// # Members
//
// A member is a user, however many sessions the user has in the room. Who loses the last one stays a
// member for [Options].LeaveAfter, so that a reload of the page, or a change of the network, is neither seen
// nor told. Users with a role of [Options].Except are no members.
//
// What is known is that of this node: with several nodes on one log each has its own members.
//
// # What clients get
//
// The room is told what has changed by [im.Room.Tell]: together with the count of the sessions, at most once a
// second, so it costs no message of its own. Each time it is told what has changed within the last few seconds, so that a
// client which missed one or two still knows everybody; one that missed more sees by the versions that it did, and
// asks for the roster again, by the operation "presence.list". See the section Presence of docs/protocol.md.
//
// With more than [Options].Limit members a room is large: it is told their number, a few of those who came
// in, drawn at random, and the [Options].Top of those with the highest [Options].Rank. In Go all members are there
// all the same. The room is not large any more once it has nine tenths of the limit.
//
// This is beside im.JoinPolicy, which tells a room the names of those who came in, and nothing else: it needs no
// roster, knows nobody who leaves, and costs nothing. A host that shows "Ann and 12 others came in" and a
// number needs that alone. One that shows who is there plugs this in, and may switch the other off.
//
// # Hooks
//
// [Options].OnJoin and OnLeave are called one after the other, in the order of what happened in a room, by a goroutine
// of their own. One that takes long delays the others, not the hub; one that hangs is left behind
// after [Options].HookTimeout; a panic is logged. Nobody is told of those who are there when the process ends: after a restart everybody
// comes in anew. If 65,536 calls wait, further ones are left out, and counted by [Presence.Stats].
//
// # Memory
//
// About 150 bytes a member, and for each room about 500, and up to 256 recent changes of 64 bytes. There are
// two goroutines at most, however many rooms there are.
package presence
