package segment

const (
	// maxFill is how many zeros are written ahead at most: so many bytes of records later the next fsync has a size and
	// extents to commit again, and so many zeros that one fsync has to carry.
	maxFill = 4 << 20
	// minFill is how many are at least, so that a small log stays a small file.
	minFill = 64 << 10
	// fillChunk is how many of them one call writes, which bounds the memory for them.
	fillChunk = 256 << 10
)

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

// fillAfter writes the next zeros if a write that ends at a place would go beyond those that are there: as many as was written
// so far, within bounds.
func (a *Active) fillAfter(end int64) {
	if a.limit <= 0 || end <= a.filled {
		return
	}
	// A quarter of a small file, so that it does not become a large one.
	to := min(end+min(max(end, minFill), maxFill, a.limit/4), a.limit+min(minFill, a.limit/4))
	if to <= end {
		return
	}
	zeros := make([]byte, min(fillChunk, to-end))
	for at := end; at < to; at += int64(len(zeros)) {
		zeros = zeros[:min(int64(len(zeros)), to-at)]
		if _, err := a.file.WriteAt(zeros, at); err != nil {
			// Most likely the disk is full. The records may still fit if the zeros are not in their place. If they
			// do not, Write says so.
			a.limit = 0
			a.filled = a.size.Load()
			a.file.Truncate(a.filled)
			return
		}
	}
	a.filled = to
}
