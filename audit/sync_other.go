//go:build !linux

package audit

import "os"

// datasync is a whole sync. On darwin that is F_FULLFSYNC, which also empties the disk's own cache.
func datasync(f *os.File) error { return f.Sync() }
