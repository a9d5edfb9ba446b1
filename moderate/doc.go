// Package moderate keeps rooms civil: roles and what they may do, mutes, bans and shadow mutes of users,
// addresses and devices, messages that wait for approval, checks of what is said, deletion, pins, reports, and an
// answer to the question why.
//
//	hub, err := im.New(auth, &im.Options{ … })
//	mod, err := moderate.New(hub, &moderate.Options{
//		Checks: []moderate.Check{moderate.Text(policy), moderate.Words(list), moderate.Links(links)},
//		Audit:  record.Record,
//	})
//	defer mod.Close()
//
// It uses what any host can use of package im: it plugs into the hub with Use, OnAdmit and OnExplain, registers
// the operations "mod.…", and keeps what must outlive the process in private keys of the rooms' state, so that every
// node of a cluster applies the same sanctions from the same place in the log on.
//
// # Roles and rights
//
// Options.Role says which [Role] a user has in a room, and Options.Rights what the roles may do. Whoever acts
// against somebody must stand above them: a moderator bans viewers and members, never another moderator or the owner.
// Everything is decided on the server, for each request anew.
//
// # Sanctions
//
// A [Sanction] is a mute, a ban or a shadow mute, of a [Target], in one room or in all rooms of the hub, for a time or
// for good. Who is muted sees everything and sends nothing. Who is banned is put out of the room within a second, on
// every transport and node, and neither joins it nor reads its history. Who is shadow-muted is told that messages were
// taken, and nobody is shown them.
//
// # Checks
//
// Each message of a client runs through Options.Checks in order, until one does not allow it. A check says [Allow],
// [Mask] with another text, [Hold] for a moderator, or [Block], and why. The reason is for the staff; the sender
// is told Options.BlockedReason. [Text], [Words], [Links] and [Repeats] make checks of what the packages text and words
// bring, [Classify] one of a model that may be slow.
//
// # Why
//
// Every decision is noted with who or what made it, and why. The staff asks with "mod.why". Options.Audit is told of
// each, for a record that nobody can rewrite.
package moderate
