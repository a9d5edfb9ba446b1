// Package filelog keeps the rooms of one process on its disk: an [im.Log] that answers for a gift only after the disk has it,
// and that a crash, a loss of power or a full disk does not confuse.
//
//	log, err := filelog.Open("/var/lib/live/rooms", nil)
//	if err != nil {
//		return err
//	}
//	defer log.Close()
//	hub, err := im.New(im.Options{Log: log, …})
//
// One directory holds all rooms and belongs to one process at a time. Critical, normal and merged events that come at the
// same time share one write and one fsync, so that many writers cost the disk no more than one. Volatile events wait for
// nothing: they get their place and are delivered at once, also while the disk stalls, and are written with the next write.
//
// # What is promised
//
//   - A critical, normal or merged event whose Append returned is there after a crash, a kill and a loss of power. A
//     volatile one that was written (within about 10 ms) survives a kill, and one that was synced (within about a second) a
//     loss of power.
//   - No position ever names two events. After an unclean stop a room goes on far above what it may have given.
//   - An event whose Append returned an error that wraps [im.ErrNotStored] is not there and will not be.
//   - When the disk fails or is full, appends of critical, normal and merged events are refused at once, volatile ones go on in
//     memory, and the log tries again four times a second. [Log.Health] says what is wrong.
//   - Damaged bytes cost what they hold and nothing else: the rest is read, and [Log.Damage] and [Verify] name what is
//     lost. Reading over a place that may have held events of a room that were promised to stay is [im.ErrGap].
//
// What was decided, and what else was thought of, is in docs/decisions/0008-positions-on-disk.md.
package filelog
