// Package recording writes what a room has kept into a file, and reads such files into
// a room: as JSON Lines, which lose nothing, and as the XML of Bilibili, which players of danmaku
// read and write. Room.Replay of package im plays a room that was recorded or imported.
//
//	n, err := recording.WriteJSONLines(ctx, file, hub.Room("42"), im.HistoryQuery{From: begin, To: end})
//	report, err := recording.Import(ctx, hub.Room("rerun-42"), file, nil)
//
// What a file holds is what a viewer may see: what was deleted is not in it, nor what the hub
// wrote for itself.
//
// # JSON Lines
//
// One event a line, in the order of the log, as clients get it but for the epoch:
//
//	{"epoch":"e1","seq":121,"id":"…","kind":"chat","at":1764000000000,"from":{"id":"u1","name":"Ann"},"body":{"text":"hi"}}
//
// at is in milliseconds since 1970. epoch and seq, its place in the log, are for the reader; an import gives
// others. n, from and body may be missing. Unknown fields are ignored.
//
// Lines of another shape are read as well, those of danmaku that were taken from elsewhere: t is in seconds
// since the start of the recording, and only t and text are required.
//
//	{"t":1.8,"mode":1,"size":25,"color":16777215,"sent":1297068467,"user":"u1","text":"前方高能"}
//
// # Bilibili XML
//
//	<i><d p="1.8,1,25,16777215,1297068467,0,f03dc29a,77">前方高能</d>…</i>
//
// The fields of p are the time in seconds, the mode (1 scrolls, 4 stands at the bottom, 5 at the top), the size of the font, the
// colour, the time of sending in seconds since 1970, the pool, a hash that stands for the sender, and the row.
package recording

import "github.com/liveim/im"

// checkQuery reports what in a query is not for files.
func checkQuery(q *im.HistoryQuery) error {
	if q.Newest {
		return errNewest
	}
	if q.Max <= 0 {
		q.Max = 500
	}
	return nil
}
