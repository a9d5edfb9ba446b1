package im

import (
	"encoding/json"
	"fmt"
	"maps"
)

// snapshotVersion is the format of the snapshots that are written. Version 1 had neither keys that
// expire nor owners; it is read as well.
const snapshotVersion = 2

// snapshot is a fold as it is stored.
type snapshot struct {
	Version  int                `json:"v"`
	Cells    map[string]*cell   `json:"cells,omitempty"`
	Closed   bool               `json:"closed,omitempty"`
	Outcomes map[string]outcome `json:"outcomes,omitempty"`
	Order    []string           `json:"order,omitempty"`
	Lost     []uint64           `json:"lost,omitempty"`
	Asked    map[string]uint64  `json:"asked,omitempty"`
	Deleted  *deletedSnapshot   `json:"deleted,omitempty"`
}

// snapshot returns what is to be stored. It is a copy, to be encoded when the room is not
// locked any more.
func (f *fold) snapshot() *snapshot {
	return &snapshot{snapshotVersion, f.cells.clone(), f.closed, maps.Clone(f.outcome.m), f.outcome.keys(), f.lost.keys(), maps.Clone(f.asked), f.deleted.snapshot()}
}

func (s *snapshot) encode() json.RawMessage {
	data, _ := json.Marshal(s)
	return data
}

// load replaces what f holds by a snapshot as of seq.
func (f *fold) load(data json.RawMessage, seq uint64) error {
	var s snapshot
	if err := json.Unmarshal(data, &s); err != nil {
		return fmt.Errorf("the snapshot of the room's state does not decode: %w", err)
	}
	if s.Version < 1 || s.Version > snapshotVersion {
		return fmt.Errorf("the snapshot of the room's state has format %d; this version reads 1 to %d", s.Version, snapshotVersion)
	}
	*f = *newFold(f.limits)
	f.closed, f.seq = s.Closed, seq
	var err error
	if f.deleted, err = s.Deleted.load(); err != nil {
		return err
	}
	for key, c := range s.Cells {
		if c == nil {
			return fmt.Errorf("the snapshot of the room's state has no value for key %q", key)
		}
		if key == modesKey {
			m, err := parseModes(c.Value)
			if err != nil {
				return fmt.Errorf("the snapshot of the room's state has modes that do not decode: %w", err)
			}
			f.modes, c.Until = m, m.untilMillis()
		}
		f.put(key, *c)
	}
	for user, seq := range s.Asked {
		f.ask(user, seq)
	}
	for _, id := range s.Order {
		f.outcome.put(id, s.Outcomes[id])
	}
	for _, seq := range s.Lost {
		f.lost.put(seq, true)
	}
	return nil
}
