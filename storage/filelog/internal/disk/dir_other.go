//go:build windows || plan9

package disk

// SyncDir does nothing: these systems cannot sync a directory, and keep their names by themselves.
func (OS) SyncDir(string) error { return nil }
