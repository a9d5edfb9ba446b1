package postgres

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/liveim/im/ledger"
)

// Get implements [ledger.Ledger].
func (l *Ledger) Get(ctx context.Context, key string) (ledger.Entry, error) {
	if err := l.usable(ctx, "get"); err != nil {
		return ledger.Entry{}, err
	}
	entries, err := l.query(ctx, l.get, []byte(key))
	if err != nil {
		return ledger.Entry{}, failed(ctx, "get", err)
	}
	if len(entries) == 0 {
		return ledger.Entry{}, ledger.ErrNotFound
	}
	return entries[0], nil
}

// Due implements [ledger.Ledger].
func (l *Ledger) Due(ctx context.Context, now time.Time, max int) ([]ledger.Entry, error) {
	if err := l.usable(ctx, "due"); err != nil {
		return nil, err
	}
	if max < 1 {
		return nil, fmt.Errorf("%w: Due with max %d; ask for at least 1", ledger.ErrInvalid, max)
	}
	entries, err := l.query(ctx, l.due, clampTime(now), max)
	if err != nil {
		return nil, failed(ctx, "due", err)
	}
	return entries, nil
}

// List implements [ledger.Ledger].
func (l *Ledger) List(ctx context.Context, q ledger.Query) ([]ledger.Entry, error) {
	if err := l.usable(ctx, "list"); err != nil {
		return nil, err
	}
	if q.Max < 0 {
		return nil, fmt.Errorf("%w: List with Max %d; ask for at least 1, or 0 for %d", ledger.ErrInvalid, q.Max, ledger.DefaultPage)
	}
	where, args := conditions(q)
	args = append(args, cmp.Or(q.Max, ledger.DefaultPage))
	entries, err := l.query(ctx, l.list+where+fmt.Sprintf(" ORDER BY key LIMIT $%d", len(args)), args...)
	if err != nil {
		return nil, failed(ctx, "list", err)
	}
	return entries, nil
}

// conditions writes only what q asks for, so that the server can choose an index.
func conditions(q ledger.Query) (where string, args []any) {
	terms := []string{"key > $1"}
	args = []any{[]byte(q.After)}
	add := func(term, value string) {
		if value != "" {
			args = append(args, []byte(value))
			terms = append(terms, fmt.Sprintf(term+" $%d", len(args)))
		}
	}
	add("key >=", q.Prefix)
	add("key <", successor(q.Prefix))
	add("kind =", q.Kind)
	add("state =", q.State)
	add("room =", q.Room)
	add(`"user" =`, q.User)
	if q.Room != "" {
		terms = append(terms, "room <> ''") // as the index says
	}
	if q.User != "" {
		terms = append(terms, `"user" <> ''`)
	}
	return strings.Join(terms, " AND "), args
}

// successor returns the first string after all that begin with prefix, or "" if
// there is none.
func successor(prefix string) string {
	b := []byte(prefix)
	for len(b) > 0 && b[len(b)-1] == 0xff {
		b = b[:len(b)-1]
	}
	if len(b) == 0 {
		return ""
	}
	b[len(b)-1]++
	return string(b)
}

func (l *Ledger) query(ctx context.Context, statement string, args ...any) ([]ledger.Entry, error) {
	rows, err := l.pool.Query(ctx, statement, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scanEntry)
}

func scanEntry(row pgx.CollectableRow) (e ledger.Entry, err error) {
	var key, kind, state, room, user, data []byte
	var version int64
	var due *time.Time
	if err := row.Scan(&key, &version, &kind, &state, &room, &user, &data, &due, &e.Created, &e.Updated); err != nil {
		return e, err
	}
	e.Key, e.Kind, e.State, e.Room, e.User = string(key), string(kind), string(state), string(room), string(user)
	e.Version, e.Data = uint64(version), data
	e.Created, e.Updated = e.Created.UTC(), e.Updated.UTC()
	if due != nil {
		e.Due = due.UTC()
	}
	return e, nil
}
