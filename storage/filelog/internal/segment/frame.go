package segment

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/liveim/im/storage/filelog/internal/disk"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// A file begins with two copies of its header, so that no one damaged place makes the whole unreadable.
const (
	headMagic   = "\x89imSeg\r\n"
	headBytes   = 64
	headCopies  = 2
	framesBegin = headBytes * headCopies
)

// head is what a file says of itself:
//
//	0 magic  8 version u32  12 kind u32  16 number u64  24 salt u64  32 zeros  60 checksum u32
type head struct {
	version uint32
	kind    FileKind
	number  uint64
	// salt is random. Frames carry it, so that bytes which somebody sent as the body of an event never pass for a frame.
	salt uint64
}

func newHead(kind FileKind, number uint64) head {
	var salt [8]byte
	rand.Read(salt[:]) // never fails
	return head{version: Version, kind: kind, number: number, salt: binary.LittleEndian.Uint64(salt[:])}
}

func (h head) append(b []byte) []byte {
	for range headCopies {
		at := len(b)
		b = append(b, headMagic...)
		b = binary.LittleEndian.AppendUint32(b, h.version)
		b = binary.LittleEndian.AppendUint32(b, uint32(h.kind))
		b = binary.LittleEndian.AppendUint64(b, h.number)
		b = binary.LittleEndian.AppendUint64(b, h.salt)
		b = append(b, make([]byte, headBytes-4-(len(b)-at))...)
		b = binary.LittleEndian.AppendUint32(b, checksum(b[at:]))
	}
	return b
}

func parseHead(b []byte) (head, bool) {
	if len(b) < headBytes || string(b[:8]) != headMagic || binary.LittleEndian.Uint32(b[60:]) != checksum(b[:60]) {
		return head{}, false
	}
	return head{
		version: binary.LittleEndian.Uint32(b[8:]),
		kind:    FileKind(binary.LittleEndian.Uint32(b[12:])),
		number:  binary.LittleEndian.Uint64(b[16:]),
		salt:    binary.LittleEndian.Uint64(b[24:]),
	}, true
}

// readHead reads the header from whichever copy is good. ok is false when none is.
func readHead(w *window, path string, want FileKind) (h head, damage []Damage, ok bool, err error) {
	for i := range headCopies {
		at := int64(i * headBytes)
		copied, good := parseHead(w.upTo(at, headBytes))
		switch {
		case !good:
			damage = append(damage, Damage{
				File: path, Offset: at, Length: max(0, min(headBytes, w.size-at)), Reason: "one copy of the file's header is damaged", Err: w.failure(at, headBytes),
			})
		case !ok:
			h, ok = copied, true
		}
	}
	switch {
	case !ok:
		return h, damage, false, nil
	case h.version > Version:
		return h, nil, false, fmt.Errorf("%s has format %d, this is for formats up to %d: %w", path, h.version, Version, ErrVersion)
	case h.kind != want:
		return h, nil, false, fmt.Errorf("%s is a segment of another kind than its name says: restore its name", path)
	}
	return h, damage, true, nil
}

// A frame is a header and a payload. The last byte of the magic is the kind:
//
//	0 magic  7 kind  8 salt u64  16 synced u64  24 number u32  28 length u32  32 payload checksum u32  36 header checksum u32
const (
	frameMagic = "\x8aimFrm\n"
	frameHead  = 40
	// maxPayload is what one record at most needs, with its length and its checksum.
	maxPayload = MaxRecord + 64
)

// The kinds of frames.
const (
	recordFrame byte = 'r' // active: records
	blockFrame  byte = 'b' // sealed: a block of events
	otherFrame  byte = 'o' // sealed: a block of other records
	pageFrame   byte = 'p' // sealed: a page of rooms
	idFrame     byte = 'i' // sealed: a bucket of ids
	indexFrame  byte = 'x' // sealed: where all of the above are
)

type frameHeader struct {
	kind   byte
	salt   uint64
	synced uint64 // how much of the file was synced when the frame was written
	number uint32
	length uint32
	sum    uint32 // of the payload
}

// reserveFrame makes room for a header in b, which putFrame fills when the payload follows it.
func reserveFrame(b []byte) []byte { return append(b, make([]byte, frameHead)...) }

// putFrame writes the header of the frame that begins at b[0] and ends with b.
func putFrame(b []byte, h frameHeader) {
	payload := b[frameHead:]
	copy(b, frameMagic)
	b[7] = h.kind
	binary.LittleEndian.PutUint64(b[8:], h.salt)
	binary.LittleEndian.PutUint64(b[16:], h.synced)
	binary.LittleEndian.PutUint32(b[24:], h.number)
	binary.LittleEndian.PutUint32(b[28:], uint32(len(payload)))
	binary.LittleEndian.PutUint32(b[32:], checksum(payload))
	binary.LittleEndian.PutUint32(b[36:], checksum(b[:36]))
}

func parseFrame(b []byte) (frameHeader, bool) {
	if len(b) < frameHead || string(b[:7]) != frameMagic || binary.LittleEndian.Uint32(b[36:]) != checksum(b[:36]) {
		return frameHeader{}, false
	}
	return frameHeader{
		kind:   b[7],
		salt:   binary.LittleEndian.Uint64(b[8:]),
		synced: binary.LittleEndian.Uint64(b[16:]),
		number: binary.LittleEndian.Uint32(b[24:]),
		length: binary.LittleEndian.Uint32(b[28:]),
		sum:    binary.LittleEndian.Uint32(b[32:]),
	}, true
}

func indexMagic(b []byte) int { return bytes.Index(b, []byte(frameMagic)) }

// span is where a frame lies, header included.
type span struct {
	offset int64
	length uint32
}

// readFrame reads the payload of the frame that lies at a place. Its errors wrap ErrDamaged, or are those of reading.
func readFrame(r readerAt, salt uint64, kind byte, at span) ([]byte, error) {
	if at.length < frameHead || at.length > frameHead+maxPayload {
		return nil, fmt.Errorf("a frame of %d bytes: %w", at.length, ErrDamaged)
	}
	b := make([]byte, at.length)
	if err := readFull(r, b, at.offset); err != nil {
		return nil, err
	}
	h, ok := parseFrame(b)
	if !ok || h.kind != kind || h.salt != salt || int64(h.length) != int64(len(b)-frameHead) || h.sum != checksum(b[frameHead:]) {
		return nil, fmt.Errorf("the frame of %d bytes at %d: %w", at.length, at.offset, ErrDamaged)
	}
	return b[frameHead:], nil
}

var _ readerAt = disk.File(nil)
