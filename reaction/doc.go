// Package reaction is likes and other reactions of a room: totals that everybody sees, and milestones.
//
//	kinds := reaction.Kinds("heart", "laugh")
//	hub, err := im.New(auth, &im.Options{Kinds: kinds})
//	reactions, err := reaction.New(hub, &reaction.Options{ // before the hub serves
//		Kinds: []im.Kind{im.Like, "heart", "laugh"},
//		At:    []uint64{100, 1000},
//		Every: 10_000,
//	})
//	...
//	defer reactions.Close()
//
// # Totals
//
// A reaction is a kind of the class Merged. The hub adds up what comes within half a second into one event, whose body
// says by how much the room's total grew and to what; the total is in the room's state as well, so that who comes in
// knows it. All of that is the hub's own, for [im.Like] alone without this package. What a client may send is
// limited by im.Options.Limits: 20 likes in 1 s, and 10 in 10 s of a kind that has no limit of its own, for each user; see [Limits].
//
// # Milestones
//
// When a total passes a milestone, the room gets an event, [im.Notice] by default, whose id is formed from the kind and the
// milestone. So there is one for each milestone and room, however many nodes follow the room and see it pass. The last milestone is
// also kept in the room's state, under a private key, so that it stays one after the log has forgotten the event, and over restarts
// on a log that survives them. Only if a node dies between the two, and nobody reacts until the log has forgotten the
// id (the newest 10,000 events, or 5 minutes), it comes a second time.
//
// Each milestone is two events of the log, so let there be few: a room with 1,000 likes a second passes every tenth 100 times a second.
// A total that passes several milestones at once gives an event for each, the 16 highest at most. A node that dies after the total has
// passed and before the event is there leaves it to the next reaction in the room.
package reaction
