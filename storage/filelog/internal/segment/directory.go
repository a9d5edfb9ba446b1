package segment

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math/bits"
	"runtime"
	"slices"
)

// The directory of a sealed file follows its blocks: pages of rooms, sorted; buckets of ids; and an index of all that. Only
// the index is held in memory. The file ends with two copies of a trailer that says where the index is:
//
//	0 magic  8 version u32  12 index length u32  16 index offset u64  24 salt u64  32 zeros  60 checksum u32
const (
	tailMagic  = "\x89imEnd\r\n"
	tailBytes  = headBytes
	tailCopies = 2

	roomPageBytes = 4 << 10
	idsPerBucket  = 512
	idBytes       = 6
)

// directory says where everything in a sealed file is.
type directory struct {
	src     readerAt // of pages and buckets: the file, or memory where they were made anew
	source  uint64   // of pages and buckets, in the cache
	salt    uint64   // of their frames
	blocks  []span
	pages   []roomPage
	buckets []span
	past    []Damage
	anew    bool
}

// roomPage is a page of rooms and the first room in it.
type roomPage struct {
	first string
	span
}

// frameWriter appends frames to a file.
type frameWriter struct {
	w interface {
		WriteAt([]byte, int64) (int, error)
	}
	salt   uint64
	at     int64
	number uint32
	blocks []span
	buf    []byte
}

// put writes the frame in b, whose header is reserved.
func (w *frameWriter) put(kind byte, b []byte) (span, error) {
	putFrame(b, frameHeader{kind: kind, salt: w.salt, number: w.number})
	at := span{w.at, uint32(len(b))}
	if _, err := w.w.WriteAt(b, w.at); err != nil {
		return span{}, fmt.Errorf("write a sealed segment: %w", err)
	}
	w.number++
	w.at += int64(len(b))
	return at, nil
}

// block writes a block and returns its number among the blocks.
func (w *frameWriter) block(kind byte, b []byte) (uint32, error) {
	at, err := w.put(kind, b)
	w.blocks = append(w.blocks, at)
	return uint32(len(w.blocks) - 1), err
}

// idEntry is where the event with an id is.
type idEntry struct {
	hash uint64
	part *part
}

// hashID spreads ids over the buckets. The salt keeps others from choosing ids that meet.
func hashID[T ~string | ~[]byte](salt uint64, room string, id T) uint64 {
	const prime = 1099511628211
	h := 14695981039346656037 ^ salt
	for i := range len(room) {
		h = (h ^ uint64(room[i])) * prime
	}
	h = (h ^ uint64(len(room))<<8) * prime
	for i := range len(id) {
		h = (h ^ uint64(id[i])) * prime
	}
	h ^= salt >> 32
	for _, m := range [...]uint64{0xbf58476d1ce4e5b9, 0x94d049bb133111eb} {
		h = (h ^ h>>31) * m
	}
	return h ^ h>>31
}

func bucketOf(hash uint64, buckets int) int {
	hi, _ := bits.Mul64(hash, uint64(buckets))
	return int(hi)
}

func fingerprint(hash uint64) uint32 { return uint32(hash) & 0xffffff }

// writeDirectory writes what follows the blocks. entries are sorted.
func writeDirectory(w *frameWriter, entries []*entry, ids []idEntry, past []Damage) (*directory, span, error) {
	d := &directory{salt: w.salt, blocks: w.blocks, past: past}
	err := d.writePages(w, entries)
	if err == nil {
		err = d.writeBuckets(w, ids)
	}
	if err != nil {
		return nil, span{}, err
	}
	index, err := w.put(indexFrame, d.appendIndex(reserveFrame(w.buf[:0])))
	return d, index, err
}

func (d *directory) writePages(w *frameWriter, entries []*entry) error {
	for len(entries) > 0 {
		b, n := reserveFrame(w.buf[:0]), 0
		for n < len(entries) && len(b) < roomPageBytes {
			b = appendEntry(b, entries[n])
			n++
		}
		at, err := w.put(pageFrame, b)
		if err != nil {
			return err
		}
		w.buf = b
		d.pages = append(d.pages, roomPage{entries[0].Room, at})
		entries = entries[n:]
	}
	return nil
}

func (d *directory) writeBuckets(w *frameWriter, ids []idEntry) error {
	buckets := (len(ids) + idsPerBucket - 1) / idsPerBucket
	for i, bucket := range spread(ids, buckets) {
		if i%16 == 0 {
			runtime.Gosched() // as between blocks
		}
		slices.SortFunc(bucket, func(a, b idEntry) int { return cmp.Compare(a.hash, b.hash) })
		b := reserveFrame(w.buf[:0])
		for _, id := range bucket {
			print, block := fingerprint(id.hash), id.part.block
			b = append(b, byte(print), byte(print>>8), byte(print>>16), byte(block), byte(block>>8), byte(block>>16))
		}
		at, err := w.put(idFrame, b)
		if err != nil {
			return err
		}
		w.buf = b
		d.buckets = append(d.buckets, at)
	}
	return nil
}

// spread puts ids into their buckets, in the order of ids. To sort each of these takes half of what sorting all would.
func spread(ids []idEntry, buckets int) [][]idEntry {
	ends := make([]int, buckets+1) // where the next of a bucket goes
	for i := range ids {
		ends[bucketOf(ids[i].hash, buckets)+1]++
	}
	for i := range buckets {
		ends[i+1] += ends[i]
	}
	all := make([]idEntry, len(ids))
	for _, id := range ids {
		i := bucketOf(id.hash, buckets)
		all[ends[i]] = id
		ends[i]++
	}
	spread := make([][]idEntry, buckets)
	from := 0
	for i := range spread {
		spread[i], from = all[from:ends[i]:ends[i]], ends[i]
	}
	return spread
}

// candidates returns the blocks that a bucket names for a fingerprint.
func candidates(bucket []byte, print uint32) []uint32 {
	var blocks []uint32
	for ; len(bucket) >= idBytes; bucket = bucket[idBytes:] {
		if uint32(bucket[0])|uint32(bucket[1])<<8|uint32(bucket[2])<<16 == print {
			blocks = append(blocks, uint32(bucket[3])|uint32(bucket[4])<<8|uint32(bucket[5])<<16)
		}
	}
	slices.Sort(blocks)
	return slices.Compact(blocks)
}

func appendSpan(b []byte, s span) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(b, uint64(s.offset)), uint64(s.length))
}

func (d *directory) appendIndex(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(d.blocks)))
	for _, s := range d.blocks {
		b = appendSpan(b, s)
	}
	b = binary.AppendUvarint(b, uint64(len(d.pages)))
	for _, p := range d.pages {
		b = appendString(appendSpan(b, p.span), p.first)
	}
	b = binary.AppendUvarint(b, uint64(len(d.buckets)))
	for _, s := range d.buckets {
		b = appendSpan(b, s)
	}
	return appendPast(b, d.past)
}

// decodeIndex reads an index of a file of a size.
func decodeIndex(payload []byte, size int64) (*directory, error) {
	dec := decoder{b: payload}
	place := func() span {
		offset, length := dec.uvarint(), dec.uvarint()
		if offset > uint64(size) || length > uint64(size)-offset || length > frameHead+maxPayload {
			dec.fail()
			return span{}
		}
		return span{int64(offset), uint32(length)}
	}
	d := &directory{}
	d.blocks = make([]span, dec.count(2))
	for i := range d.blocks {
		d.blocks[i] = place()
	}
	d.pages = make([]roomPage, dec.count(3))
	for i := range d.pages {
		d.pages[i] = roomPage{span: place(), first: dec.str()}
	}
	d.buckets = make([]span, dec.count(2))
	for i := range d.buckets {
		d.buckets[i] = place()
	}
	d.past = decodePast(&dec)
	return d, dec.end("the index of a sealed segment")
}

type trailer struct {
	version uint32
	index   span
	salt    uint64
}

func (t trailer) append(b []byte) []byte {
	for range tailCopies {
		at := len(b)
		b = append(b, tailMagic...)
		b = binary.LittleEndian.AppendUint32(b, t.version)
		b = binary.LittleEndian.AppendUint32(b, t.index.length)
		b = binary.LittleEndian.AppendUint64(b, uint64(t.index.offset))
		b = binary.LittleEndian.AppendUint64(b, t.salt)
		b = append(b, make([]byte, tailBytes-4-(len(b)-at))...)
		b = binary.LittleEndian.AppendUint32(b, checksum(b[at:]))
	}
	return b
}

func parseTrailer(b []byte) (trailer, bool) {
	if len(b) < tailBytes || string(b[:8]) != tailMagic || binary.LittleEndian.Uint32(b[60:]) != checksum(b[:60]) {
		return trailer{}, false
	}
	offset := binary.LittleEndian.Uint64(b[16:])
	t := trailer{
		version: binary.LittleEndian.Uint32(b[8:]),
		index:   span{int64(offset), binary.LittleEndian.Uint32(b[12:])},
		salt:    binary.LittleEndian.Uint64(b[24:]),
	}
	return t, offset < 1<<62
}
