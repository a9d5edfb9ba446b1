package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/internal/wire"
)

// TestTranscripts replays ../testdata/transcripts; its README.md says how they are read.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("../testdata/transcripts/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			lines := readTranscript(t, file)
			synctest.Test(t, func(t *testing.T) {
				newReplay(t).run(file, lines)
			})
		})
	}
}

// readTranscript returns the lines, by their number minus one.
func readTranscript(t *testing.T, file string) []string {
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var lines []string
	forClients := false
	in := bufio.NewScanner(f)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		lines = append(lines, strings.TrimSpace(in.Text()))
		forClients = forClients || strings.HasPrefix(in.Text(), "@ ")
	}
	if in.Err() != nil {
		t.Fatal(in.Err())
	}
	if !forClients {
		t.Skip("no @ lines: not for clients")
	}
	return lines
}

// replay is the server and the application of one transcript.
type replay struct {
	t      *testing.T
	server *fakeServer
	peer   *peer
	client *Client
	rooms  map[string]*Room
	seen   map[string]chan Update // what rooms have shown

	ids      map[float64]float64 // in the file: as the client chose it
	cids     map[string]string
	asked    []map[string]any // requests that were sent and not expected yet
	outcomes chan outcome
	kept     []outcome
}

// outcome is what became of an @ line.
type outcome struct {
	verb, text string
	err        error
	then       func() // on the replay's goroutine
}

func newReplay(t *testing.T) *replay {
	return &replay{
		t: t, server: newFakeServer(t), rooms: map[string]*Room{}, seen: map[string]chan Update{},
		ids: map[float64]float64{}, cids: map[string]string{}, outcomes: make(chan outcome, 100),
	}
}

func (r *replay) run(file string, lines []string) {
	ctx, cancel := context.WithCancel(r.t.Context())
	defer func() {
		cancel()
		if r.client != nil {
			r.client.Close()
		}
	}()
	for i, line := range lines {
		sign, rest, _ := strings.Cut(line, " ")
		var err error
		switch sign {
		case "", "#":
		case "@":
			err = r.do(ctx, rest)
		case ">":
			err = r.expect(rest, followers(lines[i+1:]))
		case "?":
			err = r.checkQuery(rest)
		case "<":
			err = r.say(rest)
		case "!":
			err = r.breakOff(rest)
		case "=":
			err = r.check(rest)
		default:
			err = errors.New("a line starts with one of # @ ? > < ! =")
		}
		if err != nil {
			r.t.Fatalf("%s:%d: %s\n%v", file, i+1, line, err)
		}
		synctest.Wait()
	}
	for room, seen := range r.seen {
		if len(seen) > 0 {
			r.t.Errorf("%s: room %s shows %#v at the end", file, room, <-seen)
		}
	}
}

// followers is how many > lines follow directly.
func followers(lines []string) int {
	n := 0
	for n < len(lines) && strings.HasPrefix(lines[n], "> ") {
		n++
	}
	return n
}

// do starts what an @ line says.
func (r *replay) do(ctx context.Context, line string) error {
	verb, rest, _ := strings.Cut(line, " ")
	n := map[string]int{"send": 4, "call": 4, "set": 4, "add": 3, "delete": 3, "decide": 3, "modes": 3}[verb]
	args := strings.SplitN(rest, " ", max(n, 2))
	arg := func(i int) string {
		if i < len(args) {
			return args[i]
		}
		return ""
	}
	start := func(fn func() (string, func(), error)) {
		go func() {
			text, then, err := fn()
			r.outcomes <- outcome{verb, text, err, then}
		}()
	}
	if verb == "connect" {
		start(func() (string, func(), error) { return r.connect(ctx, arg(0)) })
		return nil
	}
	if verb == "close" {
		go r.client.Close()
		return nil
	}
	if verb == "join" {
		since, err := im.ParsePosition(arg(1))
		start(func() (string, func(), error) {
			room, err := r.client.Join(ctx, arg(0), &JoinOptions{Since: since})
			return "", func() { r.watch(ctx, room) }, err
		})
		return err
	}
	room := r.rooms[arg(0)]
	if verb == "call" {
		room = nil
	} else if room == nil {
		return fmt.Errorf("room %q is not joined", arg(0))
	}
	start(func() (string, func(), error) {
		text, err := r.request(ctx, verb, room, arg)
		return text, nil, err
	})
	return nil
}

func (r *replay) connect(ctx context.Context, token string) (string, func(), error) {
	opt, err := new(Options).withDefaults()
	if err != nil {
		return "", nil, err
	}
	if token != "" {
		opt.Token = func(context.Context) (string, error) {
			now := token
			token += "'"
			return now, nil
		}
	}
	c, err := start(ctx, opt, r.server.dialQuery)
	return "", func() { r.client = c }, err
}

// request does one request of a room and returns what an = line calls the answer.
func (r *replay) request(ctx context.Context, verb string, room *Room, arg func(int) string) (string, error) {
	var cond []SetOption
	version := func(s string) {
		if s != "" {
			n, _ := strconv.ParseUint(s, 10, 64)
			cond = append(cond, IfVersion(n))
		}
	}
	switch verb {
	case "leave":
		return "", room.Leave(ctx)
	case "tier":
		return "", room.SetTier(ctx, Tier(arg(1)))
	case "history":
		n, _ := strconv.Atoi(arg(1))
		_, err := room.History(ctx, &HistoryOptions{Max: n, Newest: true})
		return "", err
	case "pages":
		return room.pageThrough(ctx, arg(1))
	case "set":
		version(arg(3))
		v, err := room.Set(ctx, arg(1), json.RawMessage(arg(2)), cond...)
		return fmt.Sprint(arg(1), " ", v), err
	case "add":
		by, _ := strconv.ParseInt(arg(2), 10, 64)
		_, v, err := room.Increment(ctx, arg(1), by)
		return fmt.Sprint(arg(1), " ", v), err
	case "delete":
		version(arg(2))
		return "", room.Delete(ctx, arg(1), cond...)
	case "modes":
		version(arg(2))
		var m im.Modes
		if err := json.Unmarshal([]byte(arg(1)), &m); err != nil {
			return "", err
		}
		v, err := room.SetModes(ctx, m, cond...)
		return fmt.Sprint("im.modes ", v), err
	case "decide":
		if arg(2) == "pass" {
			return "", room.PassHeld(ctx, arg(1))
		}
		return "", room.DropHeld(ctx, arg(1), arg(2))
	case "send":
		cid := arg(2)
		if cid == "-" {
			cid = room.c.newCID()
		}
		got, err := room.SendAs(ctx, cid, im.Kind(arg(1)), json.RawMessage(arg(3)))
		return fmt.Sprint(got.CID, " ", got.Status), err
	case "call":
		about := arg(1)
		if about == "-" {
			about = ""
		}
		got, err := r.client.CallAs(ctx, arg(2), arg(0), about, json.RawMessage(arg(3)))
		return fmt.Sprint(got.CID, " ", got.Status), err
	}
	return "", fmt.Errorf("no verb %q", verb)
}

// pageThrough gets all pages of a query as the wire has it, and returns where their events stand.
func (r *Room) pageThrough(ctx context.Context, query string) (string, error) {
	var q wire.Request
	if err := json.Unmarshal([]byte(query), &q); err != nil {
		return "", err
	}
	opt := HistoryOptions{Max: q.Max, Newest: q.Newest}
	for to, p := range map[*im.Position]*wire.Position{&opt.After: q.After, &opt.Before: q.Before} {
		if p != nil {
			*to = im.Position(*p)
		}
	}
	for to, ms := range map[*time.Time]int64{&opt.From: q.From, &opt.To: q.To} {
		if ms != 0 {
			*to = time.UnixMilli(ms)
		}
	}
	for _, k := range q.Kinds {
		opt.Kinds = append(opt.Kinds, im.Kind(k))
	}
	seqs := r.name
	for page, err := range r.Pages(ctx, &opt) {
		if err != nil {
			return "", err
		}
		for _, e := range page.Events {
			seqs += fmt.Sprint(" ", e.Pos.Seq)
		}
	}
	return seqs, nil
}

// watch collects what a room shows.
func (r *replay) watch(ctx context.Context, room *Room) {
	seen := make(chan Update, 1000)
	r.rooms[room.Name()], r.seen[room.Name()] = room, seen
	go func() {
		for u := range room.Updates(ctx) {
			seen <- u
		}
	}()
}

// connected waits until the client has a connection.
func (r *replay) connected() {
	for r.peer == nil {
		r.peer = r.server.next()
	}
}

// expect takes the request that a > line asks for, or one of those that the n > lines after it ask for.
func (r *replay) expect(line string, n int) error {
	var want map[string]any
	if err := json.Unmarshal([]byte(line), &want); err != nil {
		return err
	}
	r.connected()
	for len(r.asked) < n+1 {
		wait := time.Minute
		if len(r.asked) > 0 {
			wait = time.Second
		}
		q, ok := r.peer.request(wait)
		if !ok {
			break
		}
		raw, _ := json.Marshal(q)
		var got map[string]any
		_ = json.Unmarshal(raw, &got)
		if got["op"] != "ping" || got["id"] != nil || want["op"] == "ping" {
			r.asked = append(r.asked, got)
		}
	}
	var err error
	for i, got := range r.asked {
		if err = r.match(want, got); err == nil {
			r.asked = append(r.asked[:i:i], r.asked[i+1:]...)
			return nil
		}
	}
	if err == nil {
		err = errors.New("the client sent nothing")
	}
	return err
}

// match compares a request with a line, and learns its names.
func (r *replay) match(want, got map[string]any) error {
	for key, w := range want {
		g, ok := got[key]
		if name, isID := w.(float64); key == "id" && isID && ok {
			if id, known := r.ids[name]; known && id != g {
				return fmt.Errorf("id is %v; %v was %v before", g, name, id)
			}
			continue
		}
		if name, isName := w.(string); key == "cid" && isName && strings.HasPrefix(name, "$") && ok {
			if cid, known := r.cids[name]; known && cid != g {
				return fmt.Errorf("cid is %v; %s was %v before", g, name, cid)
			}
			continue
		}
		if !reflect.DeepEqual(g, w) {
			return fmt.Errorf("%s is %v; want %v, in %v", key, g, w, got)
		}
	}
	if name, ok := want["id"].(float64); ok {
		r.ids[name] = got["id"].(float64)
	}
	if name, ok := want["cid"].(string); ok {
		r.cids[name] = got["cid"].(string)
	}
	return nil
}

func (r *replay) say(line string) error {
	r.connected()
	if strings.HasPrefix(line, "[") {
		r.peer.send(line)
		return nil
	}
	var m map[string]any
	if err := json.Unmarshal([]byte(line), &m); err != nil {
		return err
	}
	if name, ok := m["id"].(float64); ok {
		m["id"] = r.ids[name]
	}
	if name, ok := m["cid"].(string); ok && strings.HasPrefix(name, "$") {
		m["cid"] = r.cids[name]
	}
	b, err := json.Marshal(m)
	r.peer.send(string(b))
	return err
}

func (r *replay) breakOff(line string) error {
	verb, rest, _ := strings.Cut(line, " ")
	n, _ := strconv.Atoi(rest)
	switch verb {
	case "drop":
		r.connected()
		r.peer.drop(errCut)
	case "close":
		r.connected()
		r.peer.drop(closeError(n, ""))
	case "http":
		r.server.refuseNext(statusError(n, "", 0))
		return nil
	default:
		return fmt.Errorf("no way %q to break off", verb)
	}
	r.peer, r.asked = nil, nil
	return nil
}
