package segment

// What is written ahead: room for stepWrites writes like the one that asks for it, within bounds. Every so many bytes an fsync has
// a size and extents to commit after all, and these zeros to carry. A write that is longer than its share of maxStep is
// followed by none.
const (
	stepWrites = 8
	minStep    = 128 << 10
	maxStep    = 1 << 20
)

// zeros are what is written ahead.
var zeros [maxStep]byte

// Fill has Write keep zeros ahead of what it writes, in a file that takes about limit bytes. Writing into blocks that exist
// makes the Sync cheaper: the file system has no size and no extents to commit besides. It is for before the first Write;
// without it, or with 0, the file is as long as its frames.
func (a *Active) Fill(limit int64) { a.limit = limit }

// Trim cuts off the zeros ahead. The next Sync makes that lasting, and a file where it failed is read just the same.
// It belongs to the goroutine of Write.
func (a *Active) Trim() {
	size := a.size.Load()
	if a.filled > size && !a.broken.Load() && a.file.Truncate(size) == nil {
		a.filled = size
	}
}

// fillAfter writes the next zeros if a write from one place to another would go beyond those that are there.
func (a *Active) fillAfter(at, end int64) {
	room := stepWrites * (end - at)
	step := min(max(room, minStep), maxStep, a.limit/4) // a small file does not become a large one
	if end <= a.filled || end >= a.limit || room > step {
		return
	}
	if _, err := a.file.WriteAt(zeros[:step], end); err != nil {
		// Most likely the disk is full. The records may still fit if the zeros are not in their place. If they
		// do not, Write says so.
		a.limit = 0
		a.filled = a.size.Load()
		_ = a.file.Truncate(a.filled)
		return
	}
	a.filled = end + step
}
