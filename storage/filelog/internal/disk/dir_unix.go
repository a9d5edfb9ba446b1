//go:build !windows && !plan9

package disk

import (
	"errors"
	"os"
)

// SyncDir is as [FS] says.
func (OS) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
