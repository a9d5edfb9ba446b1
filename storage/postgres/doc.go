// Package postgres keeps the events of rooms and the entries of ledgers in a
// PostgreSQL database, version 13 or later: an [im.Log] for one node or for several
// that share the database, and a [ledger.Ledger].
//
//	pool, err := pgxpool.New(ctx, "postgres://im@db.example/live?pool_max_conns=20")
//	log, err := postgres.NewLog(ctx, pool, nil)
//	hub, err := im.New(auth, &im.Options{Log: log})
//
// It is the choice of those who have a PostgreSQL anyway and want nothing else to
// run: a few thousand events a second, every one on disk before it is
// acknowledged. What a busy room appends at once shares one commit.
//
// # What to set
//
//   - The role needs the right to create a schema named "im", or a schema that it
//     owns; [Migrate] can be run by another one. LogOptions.Schema and LedgerOptions.Schema
//     name another schema.
//   - pool_max_conns: 10 to 20. A room that is written to uses one connection
//     during a statement, and so does every read. Each Log has one connection more, which
//     listens for notifications.
//   - A pooler between the two (PgBouncer and the like) must work in session mode: in
//     the others, notifications are lost and followers lag by LogOptions.Poll, 2 seconds.
//   - synchronous_commit on (the default), local, remote_write or remote_apply:
//     what is acknowledged survives a crash of the server, and Durability says so. With off it is
//     faster, and a crash loses the last moments: Durability says DurabilityMemory then, and after
//     each crash of the server every room begins a new epoch as soon as it is written
//     to. That stays so for a schema that was once used with off.
//   - default_transaction_isolation: read committed, the default; NewLog says so if it is not.
//   - autovacuum on, the default: what is dropped leaves dead rows.
//   - All connections go to the primary server: a replica has not yet what was acknowledged.
//
// The hub calls Trim about every half minute. A host that uses a Log without a hub calls it itself.
//
// # Failover
//
// After the failover to a replica, after a restore from a backup and after pg_upgrade
// a room begins a new epoch as soon as it is written to, since what the old server had
// acknowledged may be missing: viewers start again from the newest events. Events, IDs and
// snapshots that the new server has stay. To lose nothing that was acknowledged, set
// synchronous_standby_names as well.
//
// While the server is away, appends fail with an error that says whether something may
// have been stored ([im.ErrNotStored] says that nothing was), and followers wait and
// then go on without a hole.
package postgres
