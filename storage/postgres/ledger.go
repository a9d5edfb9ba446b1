package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/liveim/im/ledger"
)

// Ledger is a [ledger.Ledger] in a PostgreSQL database. Make one with
// [NewLedger]. It is safe for use by many goroutines, and any number of processes may
// have one on the same schema. It has no goroutines.
//
// A commit is one round trip and one transaction. Data comes back byte for byte.
// The clock of Created and Updated is the server's.
type Ledger struct {
	pool    *pgxpool.Pool
	durable bool
	closed  atomic.Bool

	commit, get, due, list string // statements
}

var _ ledger.Ledger = (*Ledger)(nil)

const entryColumns = `key, version, kind, state, room, "user", data, due, created, updated`

// NewLedger returns the ledger in a schema, which it migrates if need be. ctx
// bounds the call. Nil options are the defaults. The pool stays the caller's.
// It fails as [NewLog] does.
func NewLedger(ctx context.Context, pool *pgxpool.Pool, o *LedgerOptions) (*Ledger, error) {
	name := ""
	if o != nil {
		name = o.Schema
	}
	s, err := schemaOf(name)
	if err != nil {
		return nil, err
	}
	server, err := check(ctx, pool)
	if err != nil {
		return nil, err
	}
	if err := Migrate(ctx, pool, name); err != nil {
		return nil, err
	}
	return &Ledger{
		pool: pool, durable: server.durable,
		commit: s.sql("SELECT * FROM @.commit_1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"),
		get:    s.sql("SELECT " + entryColumns + " FROM @.entry WHERE key = $1"),
		due:    s.sql("SELECT " + entryColumns + " FROM @.entry WHERE due <= $1 ORDER BY due, key LIMIT $2"),
		list:   s.sql("SELECT " + entryColumns + " FROM @.entry WHERE "),
	}, nil
}

// Close ends the ledger: further calls fail with ledger.ErrClosed. Calls that
// run are not waited for; they end with their contexts or with the pool.
func (l *Ledger) Close() { l.closed.Store(true) }

// Durable reports whether synchronous_commit and fsync were on when the ledger was made.
func (l *Ledger) Durable() bool { return l.durable }

func (l *Ledger) usable(ctx context.Context, what string) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("postgres: %s: the context of the call has ended: %w", what, err)
	}
	if l.closed.Load() {
		return fmt.Errorf("postgres: %s: %w", what, ledger.ErrClosed)
	}
	return nil
}

// Commit implements [ledger.Ledger].
func (l *Ledger) Commit(ctx context.Context, changes ...ledger.Change) ([]ledger.Entry, error) {
	if err := l.usable(ctx, "commit"); err != nil {
		return nil, err
	}
	if err := ledger.Check(changes); err != nil || len(changes) == 0 {
		return nil, err
	}
	// A commit that meets another in the act is tried again: the next try sees
	// what the other did, which is what decides it.
	for try := 1; ; try++ {
		out, err := l.tryCommit(ctx, changes)
		if err == nil || errors.Is(err, ledger.ErrStale) {
			return out, err
		}
		if ctx.Err() != nil || !inVain(err) || try == 20 {
			return nil, failed(ctx, "commit", err)
		}
	}
}

func (l *Ledger) tryCommit(ctx context.Context, changes []ledger.Change) ([]ledger.Entry, error) {
	order := make([]int64, len(changes)) // by key: see commit_1
	for i := range order {
		order[i] = int64(i)
	}
	slices.SortFunc(order, func(a, b int64) int { return cmp.Compare(changes[a].Entry.Key, changes[b].Entry.Key) })
	rows, err := l.pool.Query(ctx, l.commit, columnsOf(changes, order)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := make([]ledger.Entry, len(changes))
	for i, c := range changes {
		out[i].Key = c.Entry.Key
	}
	for rows.Next() {
		var place, version int64
		var created, updated *time.Time
		var stale *bool
		if err := rows.Scan(&place, &version, &created, &updated, &stale); err != nil {
			return nil, err
		}
		i := order[place-1]
		c := changes[i]
		if stale != nil && *stale {
			_, err := c.Apply(ledger.Entry{Version: uint64(version)}, time.Time{})
			return nil, err
		}
		if c.Delete {
			continue
		}
		e, err := c.Apply(ledger.Entry{Version: c.Entry.Version}, *updated)
		if err != nil {
			return nil, err
		}
		e.Created = created.UTC()
		out[i] = e
	}
	return out, rows.Err()
}

// columnsOf returns the arguments of commit_1 for the changes in that order.
func columnsOf(changes []ledger.Change, order []int64) []any {
	n := len(changes)
	keys, kinds, states := make([][]byte, n), make([][]byte, n), make([][]byte, n)
	rooms, users, data := make([][]byte, n), make([][]byte, n), make([][]byte, n)
	versions, deletes, dues := make([]int64, n), make([]bool, n), make([]*time.Time, n)
	for k, i := range order {
		e := &changes[i].Entry
		keys[k], kinds[k], states[k] = []byte(e.Key), []byte(e.Kind), []byte(e.State)
		rooms[k], users[k], data[k] = []byte(e.Room), []byte(e.User), e.Data
		versions[k], deletes[k] = int64(e.Version), changes[i].Delete
		if len(e.Data) == 0 {
			data[k] = []byte("null")
		}
		if !e.Due.IsZero() {
			due := time.UnixMicro(e.Due.UnixMicro())
			dues[k] = &due
		}
	}
	return []any{keys, versions, deletes, order, kinds, states, rooms, users, data, dues}
}
