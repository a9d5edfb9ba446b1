package segment

const (
	// fillStep is how many zeros are written ahead at once. Every so many bytes an fsync has a size and extents to commit after
	// all, and that many bytes more to carry: few enough for it to take no longer than one without any of this.
	fillStep = 128 << 10
	// fillShare is which part of a step a write may be that begins another. For larger ones, which many share, zeros would
	// cost the disk as much as they save.
	fillShare = 8
)

// zeros are what is written ahead.
var zeros [fillStep]byte

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
	step := min(fillStep, a.limit/4) // a small file does not become a large one
	if end <= a.filled || end >= a.limit || end-at > step/fillShare {
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
