package client

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/internal/wire"
)

func joinedView() view {
	var v view
	v.join(&wire.Message{Epoch: "e1", Seq: 100, State: map[string]wire.Cell{"k": {Value: json.RawMessage("1"), Version: 90}}})
	return v
}

// An answer from an older position than the one that was reached meanwhile must
// take back neither the position nor the state.
func TestResumeFromBehind(t *testing.T) {
	v := joinedView()
	e := wire.Event{Seq: 110, Kind: "state", Body: json.RawMessage(`{"key":"k","value":2}`)}
	v.events(&wire.Message{Prev: 100, To: 110, Events: []wire.Event{e}})
	items := v.join(&wire.Message{Epoch: "e1", Seq: 105, Recovered: true, Events: []wire.Event{chatEvent(103)}})
	if len(items) != 1 || v.pos.Seq != 110 || v.state["k"].Version != 110 {
		t.Errorf("%v, position %v, state %v", items, v.pos, v.state)
	}
}

// Events of merged kinds keep the totals in the state fresh.
func TestTotalsAreFolded(t *testing.T) {
	v := joinedView()
	like := wire.Event{Seq: 110, Kind: "like", Merged: true, Body: json.RawMessage(`{"n":4,"total":1204}`)}
	other := wire.Event{Seq: 111, Kind: "poll", Body: json.RawMessage(`{"n":1,"total":2}`)}
	v.events(&wire.Message{Prev: 100, To: 111, Events: []wire.Event{like, other}})
	if c := v.state["im.total.like"]; string(c.Value) != "1204" || c.Version != 110 {
		t.Errorf("the total is %s, version %d", c.Value, c.Version)
	}
	if _, ok := v.state["im.total.poll"]; ok {
		t.Error("an event that is not merged became a total")
	}
}

// A server that claims to go on in another epoch, or where there was nothing, starts anew.
func TestRecoveredOfSomethingElse(t *testing.T) {
	v := joinedView()
	items := v.join(&wire.Message{Epoch: "e2", Seq: 7, Recovered: true})
	if _, ok := items[0].update.(Reset); !ok || v.pos != (im.Position{Epoch: "e2", Seq: 7}) || len(v.state) != 0 {
		t.Errorf("%#v, position %v, state %v", items, v.pos, v.state)
	}
	v = view{}
	if _, ok := v.join(&wire.Message{Epoch: "e1", Seq: 7, Recovered: true})[0].update.(Reset); !ok {
		t.Error("resumed what was not there")
	}
}

// A position from the future of this server must not end in a panic.
func TestResumeAheadOfTheServer(t *testing.T) {
	v := view{pos: im.Position{Epoch: "e1", Seq: 500}}
	v.join(&wire.Message{Epoch: "e1", Seq: 100, Recovered: true})
	e := wire.Event{Seq: 501, Kind: "state", Body: json.RawMessage(`{"key":"k","value":2}`)}
	v.events(&wire.Message{Prev: 100, To: 501, Events: []wire.Event{e}})
	if v.state["k"].Version != 501 {
		t.Errorf("state %v", v.state)
	}
}

func TestDecode(t *testing.T) {
	for _, bad := range []string{"", "{", "[", "7", `"x"`, `{"id":"1}`, `{"id":-1}`, `[{"op":1}]`} {
		if m, err := decode([]byte(bad)); err == nil {
			t.Errorf("%q is %+v", bad, m)
		}
	}
	m, err := decode([]byte(` [{"op":"ack","id":7},{"op":"direct","event":"d"},{"op":"events"}]`))
	if err != nil || len(m) != 3 || m[0].ID != 7 || m[1].Event != "d" || m[2].ID != 0 {
		t.Errorf("%+v, %v", m, err)
	}
}

// What was deleted and not taken yet does not come any more.
func TestQueueDropsWhatWasDeleted(t *testing.T) {
	at := func(seq uint64) im.Position { return im.Position{Epoch: "e", Seq: seq} }
	event := func(seq uint64, from string) item {
		e := &im.Event{Pos: at(seq), Kind: im.Chat, From: im.Author{ID: from}, At: time.UnixMilli(int64(seq))}
		return item{Event{e, false}, e.Pos}
	}
	q := queue{limit: 10}
	q.push(event(1, "ann"), event(2, "bob"), event(3, "ann"), event(4, "bob"))
	q.pop()
	gone := item{Removed{im.Deletion{Pos: at(5), Seqs: []uint64{1, 4}, User: "ann", Kinds: []im.Kind{im.Chat}}}, at(5)}
	q.push(gone, event(6, "ann"))
	var got []uint64
	for it, ok := q.pop(); ok; it, ok = q.pop() {
		got = append(got, it.pos.Seq)
	}
	if fmt.Sprint(got) != "[2 5 6]" {
		t.Errorf("what is left stands at %d", got)
	}
}
