package sock

import "sync"

// readSize is the size in bytes of the pooled buffers that input is read into.
const readSize = 8 << 10

type buffer struct{ b [readSize]byte }

var buffers = sync.Pool{New: func() any { return new(buffer) }}
