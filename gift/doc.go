// Package gift sells gifts, paid messages and red packets in live rooms: each is charged once, shown once, and counted
// once, whatever fails on the way.
//
//	gifts, err := gift.New(hub, wallet, &gift.Options{
//		Ledger:    orders, // storage/bolt or storage/postgres
//		Catalogue: gift.Items(gift.Item{ID: "rose", Name: "Rose", Price: 99, ComboWindow: 5 * time.Second}),
//	})
//	...
//	defer gifts.Close(ctx)
//
// The host brings a [Charge], which takes the money, and a ledger, which keeps the orders. The package registers
// operations on the hub, which clients call: client.Room.SendGift and its neighbours in Go. docs/protocol.md has the
// wire format.
//
// # An order
//
// What a user buys is an [Order]. Its id comes from the user, the room, the operation and the cid under which the
// client has sent it, so a retry finds the order of the first try. An order goes through these states, each step being
// one commit to the ledger that names the version it has seen:
//
//	pending ──> charged ──> delivered
//	   │           │            │
//	   │           └──> refunding ──> refunded
//	   ├──> failed             declined
//	   └──> canceling ──> canceled or failed     expired, or declined after the sum was reserved
//
// Delivered, refunded, canceled and failed are final. So is review: what cannot be decided without a risk
// of a second effect waits for a human there, who looks and calls [Gifts.Settle] or [Gifts.Refund].
//
// An order that is pending may wait for a payment service that answers minutes later. The host hands that
// answer to [Gifts.Notify]; if none comes, the order expires, and what was reserved is given back.
//
// # What a crash leaves
//
// Every order that is not final is due in the ledger. A worker of each process takes what is due, one step on. It calls the Charge
// again with the same id, which has no second effect by the contract of Charge. Before an event is
// appended the order notes the head of the room's log. Whoever takes over reads the log from there: if the
// event is in it, it is delivered; if not, it is appended, under an id that the log takes once. If that place is no longer kept, nobody
// can tell, and the order goes to review.
//
// # What rooms see
//
// Each delivered order is one event of the kind im.Gift with a [Body]. A giver who sends the same gift again within its ComboWindow
// continues a combo: the events carry the combo's id and its count so far, and a page shows one growing
// gift for each id, at the highest count that it has seen. The count is fixed in the commit that charges the order,
// so a retry cannot raise it twice.
//
// The state of a room has, beginning with "gift.":
//
//	gift.top.stream, gift.top.day, gift.top.all   the top givers, a TopList each; changes at most once in Options.TopEvery
//	gift.pin.<order>                              a paid message that is pinned, a Body; expires by itself
//
// # Money
//
// Amounts are whole numbers of the currency's minor unit, from 1 to [MaxAmount]. The bodies of these operations are decoded
// strictly: an unknown or repeated field, a fraction, an exponent or a sign is refused. A ledger that is not
// durable is refused by [New] unless Options.AllowMemory is set: orders live in it alone.
package gift
