package client

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/liveim/im/internal/wire"
)

// Limits of the protocol on what a client sends.
const (
	maxMessage = 64 << 10 // bytes
	maxBatch   = 64       // requests in one message
)

// decode reads one message of the transport: an object or an array of them.
func decode(data []byte) ([]wire.Message, error) {
	var msgs []wire.Message
	var err error
	if data = bytes.TrimLeft(data, " \t\r\n"); len(data) > 0 && data[0] == '[' {
		err = json.Unmarshal(data, &msgs)
	} else {
		msgs = make([]wire.Message, 1)
		err = json.Unmarshal(data, &msgs[0])
	}
	if err != nil {
		return nil, fmt.Errorf("the server sent what is not a message: %w", err)
	}
	return msgs, nil
}

// batch joins encoded requests from the front of out, as many as one message
// may hold, and returns the rest.
func batch(out [][]byte) (msg []byte, rest [][]byte) {
	size, n := 1, 0
	for n < len(out) && n < maxBatch && size+len(out[n])+1 <= maxMessage {
		size += len(out[n]) + 1
		n++
	}
	if n < 2 {
		return out[0], out[1:]
	}
	msg = append(make([]byte, 0, size), '[')
	msg = append(msg, bytes.Join(out[:n], []byte(","))...)
	return append(msg, ']'), out[n:]
}
