package postgres

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// DefaultSchema is the schema that a log and a ledger use if they are given none.
const DefaultSchema = "im"

// schemaVersion is what Migrate brings a schema to.
const schemaVersion = 1

// schema is the checked name of a schema. It needs no quotes to be part of a
// statement, but gets them, as it may be a word of SQL.
type schema string

var schemaForm = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,47}$`)

func schemaOf(name string) (schema, error) {
	if name == "" {
		name = DefaultSchema
	}
	if !schemaForm.MatchString(name) {
		return "", fmt.Errorf("postgres: schema %q: want 1 to 48 of a-z, 0-9 and '_', not beginning with a digit", name)
	}
	return schema(name), nil
}

// sql returns a statement with the name of the schema in place of each "@.".
func (s schema) sql(statement string) string {
	return strings.ReplaceAll(statement, "@.", `"`+string(s)+`".`)
}

// channel is where the logs of the schema notify each other.
func (s schema) channel() string { return "im_" + string(s) }

// Migrate creates the tables and functions in a schema, or brings them up to
// date; an empty name is [DefaultSchema]. [NewLog] and [NewLedger] call it if
// they find them missing, so that it is for hosts whose servers may not create
// tables. It may be called at any time and by several processes at once: one
// works, the others wait, and a schema that is up to date is left alone.
//
// The role needs the right to create the schema, or to create tables in it if
// it is there.
func Migrate(ctx context.Context, pool *pgxpool.Pool, schemaName string) error {
	s, err := schemaOf(schemaName)
	if err != nil {
		return err
	}
	if ok, err := s.upToDate(ctx, pool); ok || err != nil {
		return err
	}
	err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error { return s.migrate(ctx, tx) })
	if err != nil {
		return failed(ctx, "migrate schema "+string(s), err)
	}
	return nil
}

// upToDate reports whether the schema is of this version or a later one, which
// still has what this one calls.
func (s schema) upToDate(ctx context.Context, q interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}) (bool, error) {
	var version, number int
	err := q.QueryRow(ctx, "SELECT current_setting('server_version_num')::int").Scan(&number)
	if err == nil && number < 130000 {
		return false, fmt.Errorf("postgres: the server has version %d.%d: PostgreSQL 13 or later is needed", number/10000, number%10000)
	}
	if err == nil {
		err = q.QueryRow(ctx, s.sql("SELECT version FROM @.meta")).Scan(&version)
	}
	var e *pgconn.PgError
	if errors.As(err, &e) && (e.Code == "42P01" || e.Code == "3F000") || errors.Is(err, pgx.ErrNoRows) {
		return false, nil // no such table, no such schema, not filled in yet
	}
	if err != nil {
		return false, failed(ctx, "find the version of schema "+string(s), err)
	}
	return version >= schemaVersion, nil
}

func (s schema) migrate(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", "liveim "+string(s)); err != nil {
		return err
	}
	var there, filled bool // whoever had the lock before may have done it
	if err := tx.QueryRow(ctx, "SELECT to_regnamespace($1) IS NOT NULL, to_regclass($2) IS NOT NULL",
		`"`+string(s)+`"`, s.sql("@.meta")).Scan(&there, &filled); err != nil {
		return err
	}
	if filled {
		if ok, err := s.upToDate(ctx, tx); ok || err != nil {
			return err
		}
	}
	statements := []string{}
	if !there {
		statements = append(statements, `CREATE SCHEMA "`+string(s)+`"`)
	}
	if !filled {
		statements = append(statements, logTables, ledgerTables)
	}
	statements = append(statements, logFunctions, trimFunction, ledgerFunctions)
	if !filled {
		statements = append(statements, "INSERT INTO @.meta (version, epoch, era) VALUES (0, @.epoch_1(), @.era_1())")
	}
	statements = append(statements, fmt.Sprintf("UPDATE @.meta SET version = %d", schemaVersion))
	for _, statement := range statements {
		// Without arguments Exec takes several commands at once.
		if _, err := tx.Exec(ctx, s.sql(statement), pgx.QueryExecModeSimpleProtocol); err != nil {
			return err
		}
	}
	return nil
}

// settings is what a server says of how it commits.
type settings struct {
	durable bool // a commit that was confirmed survives a crash of the server and of the machine
}

// check reads the settings of the server, which must not stand in the way.
func check(ctx context.Context, pool *pgxpool.Pool) (settings, error) {
	var commit, fsync, isolation string
	err := pool.QueryRow(ctx, `SELECT current_setting('synchronous_commit'), current_setting('fsync'),
		current_setting('default_transaction_isolation')`).Scan(&commit, &fsync, &isolation)
	if err != nil {
		return settings{}, failed(ctx, "read the settings of the server", err)
	}
	if isolation != "read committed" {
		return settings{}, fmt.Errorf("postgres: default_transaction_isolation is %q: set it to 'read committed' for this role, database or pool, since under the others concurrent calls fail", isolation)
	}
	return settings{durable: commit != "off" && fsync == "on"}, nil
}
