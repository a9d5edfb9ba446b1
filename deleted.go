package im

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"maps"
	"slices"
)

// Bounds of what a fold remembers of deletions. They are part of the log's meaning, as those of the state are.
const (
	rememberDeleted      = 65_536 // single events
	rememberDeletedUsers = 10_000 // deletions of users
	rememberDeletedUser  = 8      // of them of one user
)

// deletedLimits are the bounds that a fold keeps to. They are the constants above but in tests.
type deletedLimits struct{ seqs, users int }

// deleted is which events of a room are hidden because they were deleted. Where it would grow over its bounds, it
// hides more: what was deleted never comes back. The zero deleted hides nothing.
type deleted struct {
	floor uint64                    // everything up to it is hidden
	seqs  []uint64                  // of single events above it, rising
	users map[string][]userDeletion // by user, rising by UpTo; a slice is replaced, never changed
	n     int                       // how many userDeletions there are
}

// userDeletion is one deletion of what a user sent.
type userDeletion struct {
	UpTo  uint64 `json:"upto"` // the place of the deletion itself
	Since int64  `json:"since,omitempty"`
	Kinds []Kind `json:"kinds"`
}

func (d *deleted) empty() bool { return d.floor == 0 && len(d.seqs) == 0 && d.n == 0 }

// has reports whether an event is deleted.
func (d *deleted) has(e *Event) bool {
	if !removable(e.Kind, e.Class) {
		return false
	}
	if e.Pos.Seq <= d.floor {
		return true
	}
	if _, ok := slices.BinarySearch(d.seqs, e.Pos.Seq); ok {
		return true
	}
	if d.n == 0 {
		return false
	}
	return slices.ContainsFunc(d.users[e.From.ID], func(u userDeletion) bool {
		return e.Pos.Seq < u.UpTo && e.At.UnixMilli() >= u.Since && slices.Contains(u.Kinds, e.Kind)
	})
}

// add notes a deletion.
func (d *deleted) add(by *Deletion, limits deletedLimits) {
	for _, seq := range by.Seqs {
		if seq <= d.floor {
			continue
		}
		if i, there := slices.BinarySearch(d.seqs, seq); !there {
			d.seqs = slices.Insert(d.seqs, i, seq)
		}
	}
	if over := len(d.seqs) - limits.seqs; over > 0 {
		d.floor = d.seqs[over-1]
		d.seqs = slices.Delete(d.seqs, 0, over)
	}
	if by.User != "" {
		d.addUser(by)
	}
	for d.n > limits.users {
		d.forgetUser()
	}
}

func (d *deleted) addUser(by *Deletion) {
	next := userDeletion{UpTo: by.Pos.Seq, Kinds: slices.Compact(slices.Sorted(slices.Values(by.Kinds)))}
	if !by.Since.IsZero() {
		next.Since = by.Since.UnixMilli()
	}
	if d.users == nil {
		d.users = map[string][]userDeletion{}
	}
	old := d.users[by.User]
	d.n -= len(old)
	list := make([]userDeletion, 0, len(old)+1)
	for _, u := range old {
		if !next.covers(&u) {
			list = append(list, u)
		}
	}
	list = append(list, next)
	if len(list) > rememberDeletedUser {
		list[1] = list[0].and(list[1])
		list = list[1:]
	}
	d.users[by.User] = list
	d.n += len(list)
}

// covers reports whether u hides everything that an earlier one does.
func (u *userDeletion) covers(earlier *userDeletion) bool {
	return u.Since <= earlier.Since && !slices.ContainsFunc(earlier.Kinds, func(k Kind) bool { return !slices.Contains(u.Kinds, k) })
}

// and returns one that hides everything that u or a later one does.
func (u userDeletion) and(later userDeletion) userDeletion {
	kinds := slices.Concat(u.Kinds, later.Kinds)
	slices.Sort(kinds)
	return userDeletion{later.UpTo, min(u.Since, later.Since), slices.Compact(kinds)}
}

// forgetUser forgets the oldest deletion of a user.
func (d *deleted) forgetUser() {
	oldest, upTo := "", uint64(MaxSeq+1)
	for user, list := range d.users {
		if list[0].UpTo < upTo { // no two are equal: each is of an event of its own
			oldest, upTo = user, list[0].UpTo
		}
	}
	if d.users[oldest] = d.users[oldest][1:]; len(d.users[oldest]) == 0 {
		delete(d.users, oldest)
	}
	d.n--
	if upTo > d.floor {
		d.floor = upTo
		i, _ := slices.BinarySearch(d.seqs, upTo+1)
		d.seqs = slices.Delete(d.seqs, 0, i)
	}
}

// deletedSnapshot is a deleted as it is stored.
type deletedSnapshot struct {
	Floor uint64                    `json:"floor,omitempty"`
	Seqs  seqList                   `json:"seqs,omitempty"`
	Users map[string][]userDeletion `json:"users,omitempty"`
}

// snapshot returns a copy, nil if nothing is deleted.
func (d *deleted) snapshot() *deletedSnapshot {
	if d.empty() {
		return nil
	}
	return &deletedSnapshot{d.floor, slices.Clone(d.seqs), maps.Clone(d.users)}
}

func (s *deletedSnapshot) load() (d deleted, err error) {
	if s == nil {
		return d, nil
	}
	d.floor, d.seqs = s.Floor, s.Seqs
	for _, list := range s.Users {
		if len(list) == 0 || !slices.IsSortedFunc(list, func(a, b userDeletion) int { return cmp.Compare(a.UpTo, b.UpTo) }) {
			return d, errors.New("the snapshot of the room's state has deletions of a user that do not decode")
		}
		d.n += len(list)
	}
	d.users = s.Users
	return d, nil
}

// seqList are rising seqs. They are stored as the distances between them, a byte or two each.
type seqList []uint64

// MarshalJSON implements [json.Marshaler].
func (l seqList) MarshalJSON() ([]byte, error) {
	var packed []byte
	last := uint64(0)
	for _, seq := range l {
		packed = binary.AppendUvarint(packed, seq-last)
		last = seq
	}
	return json.Marshal(packed)
}

// UnmarshalJSON implements [json.Unmarshaler].
func (l *seqList) UnmarshalJSON(data []byte) error {
	var packed []byte
	if err := json.Unmarshal(data, &packed); err != nil {
		return err
	}
	*l = nil
	last := uint64(0)
	for len(packed) > 0 {
		by, n := binary.Uvarint(packed)
		if n <= 0 || by == 0 || by > MaxSeq-last {
			return errors.New("a list of seqs does not decode")
		}
		packed, last = packed[n:], last+by
		*l = append(*l, last)
	}
	return nil
}
