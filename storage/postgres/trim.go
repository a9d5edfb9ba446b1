package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Trim implements [im.TrimLog]: it drops what is past its retention, a room
// after the other, each in a short transaction. Several nodes may run it at once:
// whoever comes second to a room finds nothing to do. Ages follow the clock of the
// server; what now is ahead of time.Now counts besides.
func (l *Log) Trim(ctx context.Context, now time.Time) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("postgres: trim: %w", err)
	}
	if l.ctx.Err() != nil {
		return fmt.Errorf("postgres: trim: %w", ErrClosed)
	}
	shift := time.Until(now)
	if shift < time.Second && shift > -time.Second {
		shift = 0
	}
	o := &l.opts
	rows, err := l.pool.Query(ctx, l.sql.expired, shift, o.KeepAge, o.KeepEvents, o.KeepVolatile, o.DedupAge, o.DedupEvents)
	if err != nil {
		return failed(ctx, "trim", err)
	}
	rooms, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return failed(ctx, "trim", err)
	}
	for _, room := range rooms {
		_, err := l.pool.Exec(ctx, l.sql.trim, room, shift, o.KeepAge, o.KeepEvents, o.KeepVolatile, o.DedupAge, o.DedupEvents)
		if err != nil && !inVain(err) { // the next Trim sees to what was in vain
			return failed(ctx, "trim", err)
		}
	}
	return nil
}
