package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/liveim/im"
)

// ErrClosed is returned by methods of a [Log] after Close, and ends its followers.
var ErrClosed = errors.New("postgres: the log is closed")

// failed wraps an error of the server or of the way to it. If the call's context
// has ended, the result wraps that too, whatever the driver made of it.
func failed(ctx context.Context, what string, err error) error {
	if end := ctx.Err(); end != nil && !errors.Is(err, end) {
		return fmt.Errorf("postgres: %s: %w: %w", what, end, err)
	}
	return fmt.Errorf("postgres: %s: %w", what, err)
}

// didNothing reports whether a statement that failed with err surely had no
// effect. A statement that was sent may have been committed if the connection
// was lost after that; the server says otherwise only with an error of its own
// that does not end the session.
func didNothing(err error) bool {
	var c *pgconn.ConnectError
	if errors.As(err, &c) || pgconn.SafeToRetry(err) {
		return true
	}
	var e *pgconn.PgError
	return errors.As(err, &e) && e.SeverityUnlocalized == "ERROR"
}

// inVain reports whether err is of a statement that had no effect because of
// others that ran at the same time, so that the next try may succeed.
func inVain(err error) bool {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code {
	case "40001", "40P01", "IM001": // serialization failure, deadlock, commit_1
		return true
	}
	return false
}

// notStored says that an append did nothing.
func notStored(err error) error { return fmt.Errorf("%w: %w", im.ErrNotStored, err) }
