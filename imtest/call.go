package imtest

import (
	"encoding/json"

	"github.com/liveim/im/internal/wire"
)

// CallAs is [Viewer.Call] under a client id: calls of one user under one id are one call.
func (v *Viewer) CallAs(op, room, cid string, body any) (json.RawMessage, error) {
	v.t.Helper()
	m, err := v.ask(&wire.Request{Op: op, Room: room, CID: cid, Body: v.json(body)}, wire.OpAck)
	if err != nil {
		return nil, err
	}
	return m.Body, nil
}
