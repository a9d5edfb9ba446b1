package filelog

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/liveim/im/storage/filelog/internal/disk"
	"github.com/liveim/im/storage/filelog/internal/segment"
)

// Report is what [Verify] found.
type Report struct {
	Segments int   // that were read
	Bytes    int64 // of them
	Damage   []Damage
	// Torn is the end of the newest segment, if that is not whole: what an unclean stop left, or what is being written
	// just now. Opening cuts it off.
	Torn *Damage
	// Clean says that the log was closed and nothing was written since.
	Clean bool
}

// Verify reads all of a log and reports each damaged place and what it held. It changes nothing, and works while a
// process has the log open. The error is about what could not be read at all.
func Verify(ctx context.Context, dir string) (Report, error) {
	r, err := verify(ctx, disk.OS{}, dir)
	if err != nil {
		return r, fmt.Errorf("filelog: verify %s: %w", dir, err)
	}
	return r, nil
}

func verify(ctx context.Context, fsys disk.FS, dir string) (Report, error) {
	var r Report
	names, err := fsys.ReadDir(dir)
	if err != nil {
		return r, err
	}
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return r, err
		}
		var err error
		switch kind, _ := segment.ParseName(name); kind {
		case segment.SealedFile:
			err = r.sealed(ctx, fsys, filepath.Join(dir, name))
		case segment.ActiveFile:
			err = r.active(ctx, fsys, filepath.Join(dir, name))
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // sealed or dropped meanwhile
			return r, fmt.Errorf("%s: %w", name, err)
		}
	}
	return r, nil
}

func (r *Report) sealed(ctx context.Context, fsys disk.FS, path string) error {
	s, _, err := segment.Open(fsys, path, nil)
	if err != nil {
		return err
	}
	defer s.Close()
	damage, err := s.Verify(ctx)
	r.Damage = append(r.Damage, damage...)
	r.Segments++
	r.Bytes += s.Size()
	return err
}

func (r *Report) active(ctx context.Context, fsys disk.FS, path string) error {
	rec, err := segment.Scan(ctx, fsys, path, func(_ segment.Record, ref segment.Ref) error {
		r.Bytes += int64(ref.Length)
		return nil
	})
	if err != nil {
		return err
	}
	r.Damage = append(r.Damage, rec.Damage...)
	if r.Torn != nil { // only the newest may be torn
		r.Damage = append(r.Damage, *r.Torn)
	}
	r.Torn, r.Clean = rec.Tail, rec.Closed
	r.Segments++
	return nil
}
