// Package bolt keeps a ledger in one file, by bbolt: for a host that runs as one
// process and has no database. What Commit has acknowledged is on disk, and what runs
// at once shares the wait for the disk.
//
//	l, err := bolt.Open("orders.db", nil)
//	if err != nil {
//		return err
//	}
//	defer l.Close()
//
// One process at a time may have the file open; another gets [ErrLocked]. Where several
// processes share a ledger, use storage/postgres.
//
// The file must lie on a local disk: the lock and the order of writes are not
// reliable on network file systems. To copy it, close the ledger first. The file never
// shrinks; space that became free is used again.
package bolt
