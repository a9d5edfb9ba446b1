package postgres

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// maxPayload is how long a notification may be; the server takes less than 8,000 bytes.
	maxPayload = 7900
	// listenCheck is how often a connection that hears nothing is tested.
	listenCheck = 30 * time.Second
	// listenRetry is how long the log waits before it connects again.
	listenRetry = 500 * time.Millisecond
	// pollChunk is how many rooms one statement asks for.
	pollChunk = 5000
)

// announce has other processes notified of a room's new head, together with what
// else there is to tell by then.
func (l *Log) announce(row int64, head uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.news[row] = head
	if !l.notifying && !l.closed {
		l.notifying = true
		l.spawn(l.notify)
	}
}

// notify sends notifications until there is nothing to tell. One that fails is
// not sent again: the others poll.
func (l *Log) notify() {
	for {
		l.mu.Lock()
		news := l.news
		if len(news) == 0 || l.closed {
			l.notifying = false
			l.mu.Unlock()
			return
		}
		l.news = map[int64]uint64{}
		l.mu.Unlock()
		ctx, cancel := context.WithTimeout(l.ctx, l.opts.Timeout)
		_, _ = l.pool.Exec(ctx, l.sql.notify, l.schema.channel(), payloads(news))
		cancel()
	}
}

// payloads writes rows and heads as "row head,row head", as many as fit into each.
func payloads(news map[int64]uint64) []string {
	var all []string
	var b []byte
	for row, head := range news {
		if len(b) > maxPayload-48 { // two numbers and their separators fit
			all = append(all, string(b))
			b = b[:0]
		}
		if len(b) > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, row, 10)
		b = append(b, ' ')
		b = strconv.AppendUint(b, head, 10)
	}
	return append(all, string(b))
}

// heard kicks the feeds that a notification tells of, and that are not there yet.
func (l *Log) heard(payload string) {
	for item := range strings.SplitSeq(payload, ",") {
		left, right, _ := strings.Cut(item, " ")
		row, err1 := strconv.ParseInt(left, 10, 64)
		head, err2 := strconv.ParseUint(right, 10, 64)
		if err1 != nil || err2 != nil {
			continue // of another version, or of somebody else
		}
		l.mu.Lock()
		f := l.feeds[row]
		l.mu.Unlock()
		if f != nil && f.low.Load() < head {
			l.kick(f, head)
		}
	}
}

// listen is the goroutine that hears notifications. While it hears nothing, the
// log polls.
func (l *Log) listen() {
	down := false
	for {
		err := l.hear(func() {
			if down {
				l.opts.Logger.Info("the connection for notifications is back", "schema", string(l.schema))
			}
			down = false
			l.pollNow()
		})
		if l.ctx.Err() != nil {
			return
		}
		if !down {
			down = true
			l.opts.Logger.Warn("the connection for notifications is lost; events of other nodes come with the next poll", "schema", string(l.schema), "poll", l.opts.Poll, "error", err)
		}
		select {
		case <-l.ctx.Done():
			return
		case <-time.After(listenRetry):
		}
	}
}

// hear listens on a connection of its own until that is lost.
func (l *Log) hear(begun func()) error {
	ctx, cancel := context.WithTimeout(l.ctx, l.opts.Timeout)
	defer cancel()
	pooled, err := l.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	conn := pooled.Hijack()
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = conn.Close(ctx)
	}()
	if _, err := conn.Exec(ctx, "LISTEN "+pgx.Identifier{l.schema.channel()}.Sanitize()); err != nil {
		return err
	}
	begun()
	for {
		if err := l.hearOne(conn); err != nil {
			return err
		}
	}
}

// hearOne waits for a notification, or finds that the connection works when
// none has come for a while.
func (l *Log) hearOne(conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(l.ctx, listenCheck)
	defer cancel()
	n, err := conn.WaitForNotification(ctx)
	switch {
	case err == nil:
		l.heard(n.Payload)
		return nil
	case conn.IsClosed() || l.ctx.Err() != nil:
		return err
	case ctx.Err() == nil:
		return fmt.Errorf("wait for a notification: %w", err)
	}
	ping, cancel := context.WithTimeout(l.ctx, l.opts.Timeout)
	defer cancel()
	return conn.Ping(ping)
}

// pollNow has the poller look at once.
func (l *Log) pollNow() {
	select {
	case l.poll <- struct{}{}:
	default:
	}
}

// watch is the goroutine that polls the heads of all rooms that are followed,
// and keeps them from being forgotten.
func (l *Log) watch() {
	ticker := time.NewTicker(l.opts.Poll)
	defer ticker.Stop()
	var touched time.Time
	for {
		select {
		case <-l.ctx.Done():
			return
		case <-ticker.C:
		case <-l.poll:
		}
		feeds := l.followed()
		for len(feeds) > 0 {
			n := min(len(feeds), pollChunk)
			l.pollFeeds(feeds[:n], time.Since(touched) > l.opts.KeepAge/8)
			feeds = feeds[n:]
		}
		if time.Since(touched) > l.opts.KeepAge/8 {
			touched = time.Now()
		}
	}
}

func (l *Log) followed() []*feed {
	l.mu.Lock()
	defer l.mu.Unlock()
	feeds := make([]*feed, 0, len(l.feeds))
	for _, f := range l.feeds {
		feeds = append(feeds, f)
	}
	return feeds
}

// pollFeeds asks for the heads of some rooms. An error is as a lost
// notification: the next poll makes up for it.
func (l *Log) pollFeeds(feeds []*feed, touch bool) {
	rows := make([]int64, len(feeds))
	rounds, highs := make([]uint64, len(feeds)), make([]uint64, len(feeds))
	for i, f := range feeds {
		rows[i] = f.row
		rounds[i], highs[i] = f.mark()
	}
	ctx, cancel := context.WithTimeout(l.ctx, l.opts.Timeout)
	defer cancel()
	heads, err := l.heads(ctx, rows)
	if err != nil {
		return
	}
	for i, f := range feeds {
		h, ok := heads[f.row]
		l.compare(f, rounds[i], highs[i], h.epoch, h.head, ok)
	}
	if touch {
		_, _ = l.pool.Exec(ctx, l.sql.touch, rows, l.shift(), l.opts.KeepAge/8)
	}
}

// head is where a room stands.
type head struct {
	epoch string
	head  uint64
}

func (l *Log) heads(ctx context.Context, ids []int64) (map[int64]head, error) {
	rows, err := l.pool.Query(ctx, l.sql.heads, ids)
	if err != nil {
		return nil, err
	}
	heads := make(map[int64]head, len(ids))
	var id, seq int64
	var epoch string
	_, err = pgx.ForEachRow(rows, []any{&id, &epoch, &seq}, func() error {
		heads[id] = head{epoch, uint64(seq)}
		return nil
	})
	return heads, err
}
