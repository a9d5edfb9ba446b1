package wire

import (
	"encoding/json"
	"strconv"
)

// AppendMessage appends any message as encoding/json writes it, save that less is escaped in
// strings. Messages that carry JSON of others do go through encoding/json, which checks it: an
// error is about that.
func AppendMessage(dst []byte, m *Message) ([]byte, error) {
	if m.Body != nil || m.State != nil || m.Told != nil || m.Events != nil || m.Held != nil {
		rare := *m // else every message would be on the heap
		b, err := json.Marshal(&rare)
		return append(dst, b...), err
	}
	dst = append(dst, `{"op":`...)
	w := fields(AppendString(dst, m.Op))
	w.uint(`,"id":`, m.ID)
	w.string(`,"room":`, m.Room)
	w.string(`,"sid":`, m.SID)
	w.user(m.User)
	w.int(`,"heartbeat_ms":`, m.Heartbeat)
	w.int(`,"protocol":`, int64(m.Protocol))
	w.int(`,"expires_ms":`, m.Expires)
	w.strings(`,"joining":[`, m.Joining)
	w.string(`,"epoch":`, m.Epoch)
	w.uint(`,"seq":`, m.Seq)
	w.uint(`,"prev":`, m.Prev)
	w.uint(`,"to":`, m.To)
	w.bool(`,"recovered":`, m.Recovered)
	w.int(`,"missed":`, int64(m.Missed))
	w.int(`,"online":`, int64(m.Online))
	w.int(`,"count":`, int64(m.Count))
	if m.Joined != nil {
		w = appendArrivals(w, m.Joined)
	}
	w.int(`,"until_ms":`, m.Until)
	w.bool(`,"more":`, m.More)
	w.uint(`,"next":`, m.Next)
	w.string(`,"status":`, m.Status)
	w.string(`,"event":`, m.Event)
	w.string(`,"cid":`, m.CID)
	w.string(`,"kind":`, m.Kind)
	w.int(`,"at":`, m.At)
	w.string(`,"tier":`, m.Tier)
	w.string(`,"by":`, m.By)
	w.string(`,"code":`, m.Code)
	w.string(`,"reason":`, m.Reason)
	w.int(`,"retry_ms":`, m.Retry)
	return append(w, '}'), nil
}

// fields is an object that is being written. A field that is zero is left out.
type fields []byte

func (w *fields) uint(name string, n uint64) {
	if n != 0 {
		*w = strconv.AppendUint(append(*w, name...), n, 10)
	}
}

func (w *fields) int(name string, n int64) {
	if n != 0 {
		*w = strconv.AppendInt(append(*w, name...), n, 10)
	}
}

func (w *fields) bool(name string, b bool) {
	if b {
		*w = append(append(*w, name...), "true"...)
	}
}

func (w *fields) string(name, s string) {
	if s != "" {
		*w = AppendString(append(*w, name...), s)
	}
}

func (w *fields) strings(name string, list []string) {
	if len(list) > 0 {
		*w = append(appendStrings(append(*w, name...), list), ']')
	}
}

func (w *fields) user(u *User) {
	if u == nil {
		return
	}
	*w = AppendString(append(*w, `,"user":{"id":`...), u.ID)
	w.string(`,"name":`, u.Name)
	w.strings(`,"roles":[`, u.Roles)
	*w = append(*w, '}')
}

func appendStrings(dst []byte, list []string) []byte {
	for i, s := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = AppendString(dst, s)
	}
	return dst
}

func appendArrivals(dst []byte, a *Arrivals) []byte {
	dst = append(appendStrings(append(dst, `,"joined":{"names":[`...), a.Names), `],"n":`...)
	return append(strconv.AppendInt(dst, int64(a.N), 10), '}')
}

// AppendCell appends one key of a room's state, as a field of the object that is the state. The
// value must be valid JSON; line breaks in it are dropped.
func AppendCell(dst []byte, key string, c Cell) []byte {
	w := fields(append(AppendString(dst, key), `:{"value":`...))
	w = append(append(w, compact(c.Value)...), `,"version":`...)
	w = strconv.AppendUint(w, c.Version, 10)
	w.int(`,"until":`, c.Until)
	w.string(`,"owner":`, c.Owner)
	return append(w, '}')
}
