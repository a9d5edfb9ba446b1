package wire

import (
	"encoding/json"
	"slices"
	"strconv"
	"unicode/utf8"
)

// The functions below write what a hub says often, without reflection. Bodies
// must be valid JSON without line breaks, as [ParseRequests] hands them out.

// AppendEvent appends one event, as it stands in the "events" of many messages.
func AppendEvent(dst []byte, e *Event) []byte {
	dst = append(dst, `{"seq":`...)
	dst = strconv.AppendUint(dst, e.Seq, 10)
	dst = append(dst, `,"id":`...)
	dst = AppendString(dst, e.ID)
	dst = append(dst, `,"kind":`...)
	dst = AppendString(dst, e.Kind)
	dst = append(dst, `,"at":`...)
	dst = strconv.AppendInt(dst, e.At, 10)
	if e.From != nil {
		dst = append(dst, `,"from":{"id":`...)
		dst = AppendString(dst, e.From.ID)
		if e.From.Name != "" {
			dst = append(dst, `,"name":`...)
			dst = AppendString(dst, e.From.Name)
		}
		dst = append(dst, '}')
	}
	if e.N > 1 {
		dst = append(dst, `,"n":`...)
		dst = strconv.AppendInt(dst, int64(e.N), 10)
	}
	if e.Merged {
		dst = append(dst, `,"merged":true`...)
	}
	return append(appendBody(dst, e.Body), '}')
}

// AppendEvents appends an "events" message from events that [AppendEvent] wrote.
func AppendEvents(dst []byte, room string, prev, to uint64, events [][]byte) []byte {
	dst = appendHead(dst, OpEvents, 0, room)
	dst = append(dst, `,"prev":`...)
	dst = strconv.AppendUint(dst, prev, 10)
	dst = append(dst, `,"to":`...)
	dst = strconv.AppendUint(dst, to, 10)
	return append(AppendList(dst, events), '}')
}

// AppendGap appends a "gap" message: between prev, where the client is, and to,
// missed volatile events were left out and nothing else.
func AppendGap(dst []byte, room string, prev uint64, missed int, to uint64) []byte {
	dst = appendHead(dst, OpGap, 0, room)
	dst = append(dst, `,"missed":`...)
	dst = strconv.AppendInt(dst, int64(missed), 10)
	dst = append(dst, `,"prev":`...)
	dst = strconv.AppendUint(dst, prev, 10)
	dst = append(dst, `,"to":`...)
	return append(strconv.AppendUint(dst, to, 10), '}')
}

// AppendTier appends a "tier" message: from here on the client gets this part of
// the room. lowered says that it is less than it has chosen. Its position moves
// from prev to to; they are left out if they are the same.
func AppendTier(dst []byte, room, tier string, lowered bool, prev, to uint64) []byte {
	dst = appendHead(dst, OpTier, 0, room)
	dst = append(dst, `,"tier":`...)
	dst = AppendString(dst, tier)
	if lowered {
		dst = append(dst, `,"by":"server"`...)
	}
	if prev != to {
		dst = append(dst, `,"prev":`...)
		dst = strconv.AppendUint(dst, prev, 10)
		dst = append(dst, `,"to":`...)
		dst = strconv.AppendUint(dst, to, 10)
	}
	return append(dst, '}')
}

// AppendOnline appends an "online" message; joined and told, a JSON object, may be nil.
func AppendOnline(dst []byte, room string, count int, joined *Arrivals, told json.RawMessage) []byte {
	dst = appendHead(dst, OpOnline, 0, room)
	dst = append(dst, `,"count":`...)
	dst = strconv.AppendInt(dst, int64(count), 10)
	if joined != nil {
		dst = appendArrivals(dst, joined)
	}
	return append(appendTold(dst, told), '}')
}

// AppendAck appends an "ack" message; event and body may be empty.
func AppendAck(dst []byte, id uint64, status, event string, body json.RawMessage) []byte {
	dst = appendHead(dst, OpAck, id, "")
	dst = append(dst, `,"status":`...)
	dst = AppendString(dst, status)
	if event != "" {
		dst = append(dst, `,"event":`...)
		dst = AppendString(dst, event)
	}
	return append(appendBody(dst, body), '}')
}

// AppendShed appends an "ack" that says that something is not shown, and why.
func AppendShed(dst []byte, id uint64, reason string) []byte {
	dst = appendHead(dst, OpAck, id, "")
	dst = append(dst, `,"status":"`+StatusShed+`","reason":`...)
	return append(AppendString(dst, reason), '}')
}

// Entry is what a session is told of a room as it enters it: by "joined", or by
// "reset" if the hub made it enter again. State is a JSON object, Tail is what
// [AppendTail] wrote: many entries share it.
type Entry struct {
	Op        string // OpJoined or OpReset
	ID        uint64
	Room      string
	Pos       Position
	Recovered bool
	Missed    int
	State     json.RawMessage
	Online    int
	Told      json.RawMessage // a JSON object, or nil
	Tail      []byte
}

// AppendEntry appends a "joined" or "reset" message.
func AppendEntry(dst []byte, e *Entry) []byte {
	return append(AppendEntryHead(dst, e), e.Tail...)
}

// AppendEntryHead is AppendEntry up to e.Tail.
func AppendEntryHead(dst []byte, e *Entry) []byte {
	dst = appendHead(dst, e.Op, e.ID, e.Room)
	dst = append(dst, `,"epoch":`...)
	dst = AppendString(dst, e.Pos.Epoch)
	dst = append(dst, `,"seq":`...)
	dst = strconv.AppendUint(dst, e.Pos.Seq, 10)
	dst = append(dst, `,"recovered":`...)
	dst = strconv.AppendBool(dst, e.Recovered)
	dst = append(dst, `,"missed":`...)
	dst = strconv.AppendInt(dst, int64(e.Missed), 10)
	dst = append(dst, `,"state":`...)
	dst = append(dst, e.State...)
	dst = append(dst, `,"online":`...)
	dst = strconv.AppendInt(dst, int64(e.Online), 10)
	return appendTold(dst, e.Told)
}

// AppendTail appends what an entry ends with: events, and what closes the message.
func AppendTail(dst []byte, events [][]byte) []byte { return append(AppendList(dst, events), '}') }

// History is the answer to "history". Events is what [AppendEvent] wrote, with commas between.
type History struct {
	ID     uint64
	Room   string
	Epoch  string
	Missed int
	More   bool
	Next   uint64 // 0: there is nothing to go on to
	Events []byte
}

// AppendHistory appends a "history" message.
func AppendHistory(dst []byte, h *History) []byte {
	dst = appendHead(dst, OpHistory, h.ID, h.Room)
	dst = append(dst, `,"epoch":`...)
	dst = AppendString(dst, h.Epoch)
	dst = append(dst, `,"missed":`...)
	dst = strconv.AppendInt(dst, int64(h.Missed), 10)
	dst = append(dst, `,"more":`...)
	dst = strconv.AppendBool(dst, h.More)
	if h.Next != 0 {
		dst = append(dst, `,"next":`...)
		dst = strconv.AppendUint(dst, h.Next, 10)
	}
	dst = append(dst, `,"events":[`...)
	return append(append(dst, h.Events...), "]}"...)
}

// appendHead opens a message; id 0 and an empty room are left out.
func appendHead(dst []byte, op string, id uint64, room string) []byte {
	dst = append(dst, `{"op":"`...)
	dst = append(dst, op...)
	dst = append(dst, '"')
	if id != 0 {
		dst = append(dst, `,"id":`...)
		dst = strconv.AppendUint(dst, id, 10)
	}
	if room != "" {
		dst = append(dst, `,"room":`...)
		dst = AppendString(dst, room)
	}
	return dst
}

func appendTold(dst []byte, told json.RawMessage) []byte {
	if len(told) == 0 {
		return dst
	}
	return append(append(dst, `,"told":`...), told...)
}

func appendBody(dst []byte, body json.RawMessage) []byte {
	if len(body) == 0 {
		return dst
	}
	return append(append(dst, `,"body":`...), body...)
}

// AppendList appends the field "events", from events that [AppendEvent] wrote, as [Entry] has it.
func AppendList(dst []byte, events [][]byte) []byte {
	size := 16
	for _, e := range events {
		size += len(e) + 1
	}
	dst = slices.Grow(dst, size)
	dst = append(dst, `,"events":[`...)
	for i, e := range events {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, e...)
	}
	return append(dst, ']')
}

const hex = "0123456789abcdef"

// AppendString appends s as a JSON string. Control characters and the line
// separators U+2028 and U+2029 are escaped, invalid UTF-8 becomes U+FFFD.
func AppendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf && c != 0x7f {
			i++
			continue
		}
		if c < utf8.RuneSelf {
			dst = append(dst, s[start:i]...)
			if c == '"' || c == '\\' {
				dst = append(dst, '\\', c)
			} else {
				dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			}
			i++
			start = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			dst = append(append(dst, s[start:i]...), `\ufffd`...)
		case r == 0x2028 || r == 0x2029:
			dst = append(append(dst, s[start:i]...), '\\', 'u', '2', '0', '2', hex[r&15])
		default:
			i += size
			continue
		}
		i += size
		start = i
	}
	return append(append(dst, s[start:]...), '"')
}
