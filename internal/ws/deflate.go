package ws

import (
	"runtime"

	"github.com/klauspost/compress/flate"
)

// AppendDeflated compresses one message and appends it to dst, ready to be the
// payload of a frame with RSV1 set (RFC 7692 section 7.2.1): without context
// takeover, and with the trailing 0x00 0x00 0xFF 0xFF removed. It is safe for
// concurrent use.
//
// A compressor holds about 0.8 MB. There are at most GOMAXPROCS of them,
// created as needed and then kept; further calls wait for one.
func AppendDeflated(dst, payload []byte) []byte {
	slot := <-deflaters
	defer func() { deflaters <- slot }()
	if slot == nil {
		slot = newDeflater()
	}
	return slot.append(dst, payload)
}

// deflaters is a semaphore whose tokens are the compressors: nil until used.
var deflaters = func() chan *deflater {
	slots := make(chan *deflater, runtime.GOMAXPROCS(0))
	for range cap(slots) {
		slots <- nil
	}
	return slots
}()

// deflater is a compressor and the slice it appends to.
type deflater struct {
	w   *flate.Writer
	dst []byte
}

func newDeflater() *deflater {
	w, err := flate.NewWriter(nil, flate.BestSpeed)
	if err != nil {
		panic("ws: flate refuses its own BestSpeed level: " + err.Error())
	}
	return &deflater{w: w}
}

func (d *deflater) append(dst, payload []byte) []byte {
	d.dst = dst
	d.w.Reset(d)
	// Errors come from the underlying writer only, and Write has none.
	_, _ = d.w.Write(payload)
	_ = d.w.Flush()
	dst, d.dst = d.dst, nil
	return dst[:len(dst)-len(syncTail)]
}

// Write implements io.Writer for the compressor.
func (d *deflater) Write(p []byte) (int, error) {
	d.dst = append(d.dst, p...)
	return len(p), nil
}
