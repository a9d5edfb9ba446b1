package postgres

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/liveim/im"
)

// Log is an [im.Log] in a PostgreSQL database. Make one with [NewLog], one a
// process is enough, and end it with Close. It is safe for use by many
// goroutines. It is also an [im.DurableLog], an [im.SnapshotLog] and an [im.TrimLog].
//
// Concurrent appends to one room are gathered into one statement and one
// commit; different rooms do not wait for each other. Append delivers to the
// followers of the same Log before it returns, those of other processes are
// notified after it.
//
// Followers are served by a few goroutines in all and one connection that
// listens. While the server is away they wait, however long, and go on from where they
// were. A follower that is so far behind that volatile events were dropped
// before it got them goes on without those; if others were dropped it ends with
// ErrGap.
//
// Events are dropped by Trim alone, which several nodes may call at once. A room
// is forgotten when its events and IDs are past their retention, it has no
// snapshot, and nobody followed or wrote to it for KeepAge. As with every other
// loss of events, an old position in it is a gap from then on.
type Log struct {
	pool    *pgxpool.Pool
	opts    LogOptions // with defaults, immutable
	schema  schema
	sql     statements
	durable bool
	secret  []byte

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup // of every goroutine of the log
	poll   chan struct{}  // holds a token if the poller shall look now

	// mu protects the fields below.
	mu        sync.Mutex
	closed    bool
	listening bool
	queues    map[string]*queue // rooms with appends under way
	feeds     map[int64]*feed   // rooms that are followed, by their row
	ready     []*feed           // that wait for a reader
	readers   int
	news      map[int64]uint64 // heads that others are to be notified of
	notifying bool
}

// statements are those of a log, for its schema.
type statements struct {
	append, read, follow, heads, touch, notify, save, load, expired, trim string
}

func statementsOf(s schema) statements {
	return statements{
		append: s.sql("SELECT * FROM @.append_1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"),
		read:   s.sql("SELECT * FROM @.read_1($1, $2, $3, $4, $5, $6)"),
		follow: s.sql("SELECT * FROM @.follow_1($1, $2)"),
		heads:  s.sql("SELECT id, epoch, head FROM @.room WHERE id = ANY($1)"),
		touch: s.sql(`UPDATE @.room SET used = clock_timestamp() + $2 WHERE id IN (SELECT id FROM @.room
			WHERE id = ANY($1) AND used < clock_timestamp() + $2 - $3::interval FOR NO KEY UPDATE SKIP LOCKED)`),
		notify: s.sql("SELECT @.notify_1($1, $2)"),
		save:   s.sql("SELECT @.snapshot_1($1, $2, $3, $4)"),
		load: s.sql(`SELECT s.epoch, s.seq, s.data FROM @.snapshot s JOIN @.room r ON r.id = s.room AND r.epoch = s.epoch
			WHERE r.name = $1`),
		expired: s.sql(`SELECT id FROM @.room r, (SELECT clock_timestamp() + $1::interval AS now) c
			WHERE kept > $3 OR volatiles > $4 OR oldest < now - $2::interval
			OR past > 0 AND (past + kept > $6 OR oldest_past < now - $5::interval)
			OR kept + volatiles + past = 0 AND used < now - $2::interval AND NOT EXISTS (SELECT FROM @.snapshot s WHERE s.room = r.id)
			ORDER BY id`),
		trim: s.sql("SELECT @.trim_1($1, $2, $3, $4, $5, $6, $7)"),
	}
}

var (
	_ im.DurableLog  = (*Log)(nil)
	_ im.SnapshotLog = (*Log)(nil)
	_ im.TrimLog     = (*Log)(nil)
)

// NewLog returns the log in a schema, which it migrates if need be. ctx bounds
// the call. Nil options are the defaults. The pool stays the caller's, who closes it
// after the log. It fails if an option is out of bounds, or if the
// server is not there, too old, or set up so that the log would not work.
func NewLog(ctx context.Context, pool *pgxpool.Pool, o *LogOptions) (*Log, error) {
	opts, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	s, err := schemaOf(opts.Schema)
	if err != nil {
		return nil, err
	}
	server, err := check(ctx, pool)
	if err != nil {
		return nil, err
	}
	if err := Migrate(ctx, pool, opts.Schema); err != nil {
		return nil, err
	}
	if !server.durable {
		if _, err := pool.Exec(ctx, s.sql("UPDATE @.meta SET loose = true WHERE NOT loose")); err != nil {
			return nil, failed(ctx, "note that a crash may lose events", err)
		}
	}
	var secret []byte
	if err := pool.QueryRow(ctx, s.sql("SELECT secret FROM @.meta")).Scan(&secret); err != nil {
		return nil, failed(ctx, "read the secret", err)
	}
	l := &Log{
		pool: pool, opts: opts, schema: s, sql: statementsOf(s), durable: server.durable, secret: secret,
		poll:   make(chan struct{}, 1),
		queues: map[string]*queue{},
		feeds:  map[int64]*feed{},
		news:   map[int64]uint64{},
	}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l, nil
}

// Close ends the log: followers are told ErrClosed, appends that wait fail with
// ErrNotStored, those that are under way with an outcome that is not known. It
// waits until no goroutine of the log is left and no deliver runs. It must not
// be called from a follower. Further calls do nothing.
func (l *Log) Close() {
	l.mu.Lock()
	l.closed = true
	feeds := make([]*feed, 0, len(l.feeds))
	for _, f := range l.feeds {
		feeds = append(feeds, f)
	}
	l.mu.Unlock()
	l.cancel()
	l.wg.Wait()
	for _, f := range feeds {
		l.endAll(f, ErrClosed)
	}
}

// spawn runs do in a goroutine that Close waits for. l.mu is held, and the log
// is not closed.
func (l *Log) spawn(do func()) { l.wg.Go(do) }

// usable returns an error that wraps ctx.Err() or ErrClosed if either has ended.
func (l *Log) usable(ctx context.Context, what, room string) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("postgres: %s room %q: %w", what, room, err)
	}
	if l.ctx.Err() != nil {
		return fmt.Errorf("postgres: %s room %q: %w", what, room, ErrClosed)
	}
	return nil
}

// shift is by how much the log's clock is ahead of that of the process.
func (l *Log) shift() time.Duration {
	now := l.opts.Now()
	if d := time.Until(now); d > time.Second || d < -time.Second {
		return d
	}
	return 0
}

// Durability implements [im.DurableLog]: DurabilityLocalFsync, unless
// synchronous_commit or fsync were off when the log was made.
func (l *Log) Durability() im.Durability {
	if l.durable {
		return im.DurabilityLocalFsync
	}
	return im.DurabilityMemory
}

// Secret returns 32 bytes that were made at random with the schema: a secret
// that all hubs on it share, if none is set. Whoever may read the tables knows it. The caller
// must not change them.
func (l *Log) Secret() []byte { return l.secret }
