package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/liveim/im"
)

// SaveSnapshot implements [im.SnapshotLog]. A snapshot of an epoch that is gone,
// or of a position that the room has not reached, is ignored, and so is one of a
// room that nobody wrote to or followed. After a failover of the server, a
// snapshot is kept and takes part in the new epoch as the room's events do.
func (l *Log) SaveSnapshot(ctx context.Context, room string, s im.Snapshot) error {
	if err := l.usable(ctx, "save the snapshot of", room); err != nil {
		return err
	}
	data := []byte(s.Data)
	if data == nil {
		data = []byte{}
	}
	if s.Pos.Seq > im.MaxSeq || !utf8.ValidString(s.Pos.Epoch) || strings.ContainsRune(s.Pos.Epoch, 0) {
		return nil // no epoch of this log
	}
	if _, err := l.pool.Exec(ctx, l.sql.save, []byte(room), s.Pos.Epoch, int64(s.Pos.Seq), data); err != nil {
		return failed(ctx, fmt.Sprintf("save the snapshot of room %q", room), err)
	}
	return nil
}

// LoadSnapshot implements [im.SnapshotLog].
func (l *Log) LoadSnapshot(ctx context.Context, room string) (im.Snapshot, bool, error) {
	if err := l.usable(ctx, "load the snapshot of", room); err != nil {
		return im.Snapshot{}, false, err
	}
	var s im.Snapshot
	var seq int64
	var data []byte
	err := l.pool.QueryRow(ctx, l.sql.load, []byte(room)).Scan(&s.Pos.Epoch, &seq, &data)
	if errors.Is(err, pgx.ErrNoRows) {
		return im.Snapshot{}, false, nil
	}
	if err != nil {
		return im.Snapshot{}, false, failed(ctx, fmt.Sprintf("load the snapshot of room %q", room), err)
	}
	s.Pos.Seq, s.Data = uint64(seq), data
	return s, true, nil
}
