// Package segment is the file format of the file log: files that are appended to, and files that are compressed and sorted.
//
// An [Active] file is frames of records, each frame with its own checksums and each record with one of its own, and may end
// with zeros, into which the next frames are written. A [Sealed]
// file holds the records of one active file, sorted by room, in compressed blocks, with pages that say where each room
// and each event id is. In both, whatever bytes are damaged cost the frame, or the block, that they lie in: a reader
// finds the next one by itself and says what it has passed over.
//
// All numbers in the files are little-endian, or varints of encoding/binary; nothing depends on the machine.
package segment

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
)

// Version is the format that this package writes. It reads this and all older ones.
const Version = 1

// The bounds of what a file holds.
const (
	// MaxRecord is how long one record may be when encoded, in bytes. Write refuses longer ones.
	MaxRecord = 64 << 20
	// frameBytes is how much payload a frame or a block gathers. A longer record gets one of its own.
	frameBytes = 64 << 10
)

var (
	// ErrVersion is wrapped by errors about files that a newer version of this package wrote.
	ErrVersion = errors.New("the file is of a newer format; open it with the version of im that wrote it, or a later one")
	// ErrTooLarge is wrapped by errors of Write about a record that is longer than MaxRecord. Nothing was written.
	ErrTooLarge = errors.New("a record of the log is longer than 64 MiB")
	// ErrBroken is wrapped by errors of an Active that can no longer be written to, because a write could not be cut
	// back or a sync failed. It can still be read: begin another.
	ErrBroken = errors.New("the segment takes no more writes after a failure; begin another")
	// ErrDamaged is wrapped by errors about a place that does not hold what was written there.
	ErrDamaged = errors.New("the bytes on disk are not those that were written")
)

// The endings of file names.
const (
	activeExt = ".log"
	sealedExt = ".seg"
	tempExt   = ".tmp"
)

// ActiveName is the name of the active file of a number, without its directory.
func ActiveName(number uint64) string { return fmt.Sprintf("%08d", number) + activeExt }

// SealedName is the name of the sealed file of a number, without its directory.
func SealedName(number uint64) string { return fmt.Sprintf("%08d", number) + sealedExt }

// FileKind is what a file of the directory is.
type FileKind uint8

// The kinds of files. Temporary ones are what an interrupted Seal left: remove them when opening.
const (
	OtherFile FileKind = iota
	ActiveFile
	SealedFile
	TemporaryFile
)

// ParseName tells what a file is by its name, and its number if it is a segment.
func ParseName(name string) (FileKind, uint64) {
	name = filepath.Base(name)
	kinds := map[string]FileKind{activeExt: ActiveFile, sealedExt: SealedFile, sealedExt + tempExt: TemporaryFile}
	digits, ext, _ := strings.Cut(name, ".")
	kind := kinds["."+ext]
	number, err := strconv.ParseUint(digits, 10, 64)
	if kind == OtherFile || err != nil || fmt.Sprintf("%08d", number) != digits {
		return OtherFile, 0
	}
	return kind, number
}
