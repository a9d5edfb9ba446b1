package im_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/liveim/im"
)

const memoryLimit = 256 << 20

// pressLoad is what a server with a memory limit has to bear.
type pressLoad struct {
	viewers, rooms int
	danmaku        int // a second and room
	length         time.Duration
}

// F11: a server with GOMEMLIMIT stays within it, keeps its viewers and every gift that it acknowledged,
// and refuses new viewers when its memory really is in use.
func TestF11MemoryLimit(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("reads /proc")
	}
	load := pressLoad{viewers: 2000, rooms: 10, danmaku: 5 * 50, length: 4 * time.Second}
	if soak() {
		load.length = 30 * time.Second
	}
	srv := startPressed(t)
	var crowd pressCrowd
	for i := range load.viewers {
		crowd.add(t, srv.url, fmt.Sprint("viewer-", i), room(i%load.rooms))
	}
	before := srv.ask("stats")
	stop := make(chan struct{})
	var busy sync.WaitGroup
	gifts := make([]giver, load.rooms)
	var sent atomic.Int64
	for i := range load.rooms {
		s := inRoom(t, srv.url, fmt.Sprint("sender-", i), room(i))
		busy.Go(func() { flood(s, room(i), load.danmaku, &sent, stop) })
		gifts[i].socket = inRoom(t, srv.url, fmt.Sprint("giver-", i), room(i))
		busy.Go(func() { gifts[i].run(room(i), stop) })
	}
	<-time.After(load.length)
	loaded := srv.ask("stats")

	// Now the memory is really in use, for whatever reason.
	srv.ask("fill")
	refused := srv.until(20*time.Second, func(s pressStats) bool { return s.Brownout >= im.BrownoutRefusing })
	given := gifts[0].count()
	if _, err := tryDial(t, srv.url, http.Header{"Authorization": {"Bearer late"}}); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("a new viewer of a server at level %v: %v", refused.Brownout, err)
	}
	for end := time.Now().Add(15 * time.Second); gifts[0].count() == given; <-time.After(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("no gift is taken while new viewers are refused")
		}
	}
	close(stop)
	busy.Wait()
	srv.ask("free")
	srv.until(30*time.Second, func(s pressStats) bool { return s.Brownout < im.BrownoutRefusing })
	if _, err := tryDial(t, srv.url, http.Header{"Authorization": {"Bearer late"}}); err != nil {
		t.Errorf("a new viewer after it was over: %v", err)
	}

	acked := 0
	for i := range gifts {
		stored := srv.stored(room(i))
		for _, id := range gifts[i].acked {
			if acked++; !stored[id] {
				t.Errorf("gift %s was acknowledged and is not in the history of %s", id, room(i))
			}
		}
		if gifts[i].refused != "" {
			t.Errorf("a gift was refused: %s", gifts[i].refused)
		}
	}
	peak := srv.peak()
	t.Logf("%d viewers in %d rooms, %d danmaku a second offered, %.0f stored: %v; with %d MiB more in use: %v; %d gifts acknowledged; %d MiB received; peak RSS %d MiB, %.2f times the limit",
		load.viewers, load.rooms, load.rooms*load.danmaku, float64(loaded.Accepted-before.Accepted)/load.length.Seconds(), loaded, refused.Filled>>20, refused, acked,
		crowd.bytes.Load()>>20, peak>>20, float64(peak)/memoryLimit)
	if loaded.Shed+loaded.Merged == 0 {
		t.Error("no danmaku were shed or merged at five times the budget")
	}
	if acked == 0 || sent.Load() == 0 {
		t.Error("nothing was sent")
	}
	if n := crowd.cut.Load(); n > 0 {
		t.Errorf("%d viewers were cut off", n)
	}
	if peak > memoryLimit*115/100 {
		t.Errorf("the server held up to %d MiB with a limit of %d MiB", peak>>20, memoryLimit>>20)
	}
	crowd.close()
}

func room(i int) string { return fmt.Sprint("room-", i) }

func inRoom(t *testing.T, url, user, room string) *socket {
	t.Helper()
	s := dialAs(t, url, user)
	s.send(fmt.Sprintf(`{"op":"join","id":1,"room":%q}`, room))
	s.expect("joined")
	return s
}

// flood sends danmaku to a room, some at a time, and reads past all that comes.
func flood(s *socket, room string, rate int, sent *atomic.Int64, stop <-chan struct{}) {
	const every = 50 * time.Millisecond
	one := fmt.Sprintf(`{"op":"send","room":%q,"kind":"danmaku","body":{"text":%q}}`, room, strings.Repeat("弹幕", 20))
	some := max(1, rate*int(every)/int(time.Second))
	message := "[" + strings.TrimSuffix(strings.Repeat(one+",", some), ",") + "]"
	var reader sync.WaitGroup
	reader.Go(func() { _, _ = io.Copy(io.Discard, s.conn) })
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			_ = s.conn.Close()
			reader.Wait()
			return
		case <-tick.C:
			s.send(message)
			sent.Add(int64(some))
		}
	}
}

// giver sends one gift after the other.
type giver struct {
	*socket
	mu      sync.Mutex // guards the fields below
	acked   []string   // ids of the events
	refused string
}

func (g *giver) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.acked)
}

func (g *giver) run(room string, stop <-chan struct{}) {
	g.patience = 30 * time.Second
	for i := 2; ; i++ {
		select {
		case <-stop:
			return
		case <-time.After(80 * time.Millisecond): // within the limit of requests of one user
		}
		g.send(fmt.Sprintf(`{"op":"gift.send","id":%d,"room":%q,"cid":"gift-%d","body":{"gift":"rocket"}}`, i, room, i))
		for {
			raw := g.read()
			if raw == "" {
				g.t.Error("a giver was cut off")
				return
			}
			if !strings.HasPrefix(raw, `{"op":"ack"`) && !strings.HasPrefix(raw, `{"op":"error"`) {
				continue
			}
			var m struct {
				Op, Status string
				Body       struct{ Event string }
			}
			err := json.Unmarshal([]byte(raw), &m)
			g.mu.Lock()
			if err != nil || m.Op != "ack" || m.Status != "ok" {
				g.refused = raw
			} else {
				g.acked = append(g.acked, m.Body.Event)
			}
			g.mu.Unlock()
			break
		}
	}
}

// pressCrowd are viewers who take all that comes and look at nothing.
type pressCrowd struct {
	conns      []io.Closer
	done       sync.WaitGroup
	bytes, cut atomic.Int64
	ending     atomic.Bool
}

func (c *pressCrowd) add(t *testing.T, url, user, room string) {
	t.Helper()
	s := inRoom(t, url, user, room)
	_ = s.conn.SetReadDeadline(time.Time{})
	c.conns = append(c.conns, s.conn)
	c.done.Go(func() {
		buf := make([]byte, 16<<10)
		for {
			n, err := s.conn.Read(buf)
			c.bytes.Add(int64(n))
			if err != nil {
				if !c.ending.Load() {
					c.cut.Add(1)
				}
				return
			}
		}
	})
}

func (c *pressCrowd) close() {
	c.ending.Store(true)
	for _, conn := range c.conns {
		_ = conn.Close()
	}
	c.done.Wait()
}
