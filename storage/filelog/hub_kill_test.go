package filelog_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/client"
)

const (
	killViewers = 8
	killLate    = 2 // of them, that take their time to come back
	killSenders = 4
	killRoom    = "42"
	lastBody    = `"last:0"`
)

// F4: a hub on a file log is killed again and again at one point, and restarted in the same place, while clients send
// and watch. Nothing that was acknowledged is lost or doubled, no position names two events, and no client misses
// anything in silence.
func TestF4KilledAtEachPoint(t *testing.T) {
	kills := 2
	if soak() {
		kills = 50
	}
	for _, point := range []string{beforeStore, afterStore, afterAck, inFanOut} {
		t.Run(point, func(t *testing.T) { testKilledAt(t, point, kills) })
	}
}

func testKilledAt(t *testing.T, point string, kills int) {
	k := &killed{t: t, point: point, dir: t.TempDir(), addr: freeAddr(t), names: names{}}
	k.start()
	defer k.end()
	k.probe() // from here on the room has something on disk, and no reason to begin another epoch
	k.enter()
	var slowest time.Duration
	for range kills {
		k.arm()
		k.wait()
		died := time.Now()
		left := k.leftovers()
		k.start()
		at := k.probe()
		slowest = max(slowest, time.Since(died))
		k.back(at)
		k.examine(left)
		if point == inFanOut {
			k.checkSplit()
		}
		if t.Failed() {
			break
		}
	}
	k.leave()
	if slowest > 5*time.Second {
		t.Errorf("the hub took nothing for %v after a kill, want 5 s at most", slowest)
	}
	k.end()
	k.check()
	t.Logf("%d kills, %d sends, %d repeated by hand; back within %v; %d positions known, of which %d were seen and are not on disk; viewers resumed %d times, missing %d danmaku, and began anew %d times",
		kills, len(k.acks), k.again.Load(), slowest.Round(time.Millisecond), len(k.names), k.gone, k.sum(viewerResumes), k.sum(viewerMissed), k.sum(viewerResets)-killViewers)
	if point == inFanOut {
		t.Logf("viewers that had the event at the kills: %v of %d", k.splits, killViewers)
	}
}

// freeAddr is an address on which a child can listen.
func freeAddr(t *testing.T) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// killed is one hub that dies and comes back, with its clients.
type killed struct {
	t         *testing.T
	point     string
	dir, addr string
	child     *exec.Cmd
	orders    io.WriteCloser
	words     *bytes.Buffer // of the child
	lastWords string        // of the one that died last
	splits    []int         // how many viewers had the event, at each kill in the middle of fan-out
	names     names
	gone      int // positions that viewers have seen and the log does not have: of danmaku
	probes    int
	clients   []*client.Client
	viewers   []*viewer
	watching  sync.WaitGroup
	sending   sync.WaitGroup
	stop      chan struct{}
	killAtAck atomic.Int64 // acks that are missing until the parent kills
	again     atomic.Int64

	mu   sync.Mutex // protects acks
	acks []ack
}

// ack is what a sender was told.
type ack struct {
	body string // of the event
	at   string // its position, if that was told
	id   string // its id, if that was told
}

func (k *killed) start() {
	k.child = exec.Command(os.Args[0], "-test.run=^TestChildHub$")
	k.child.Env = append(os.Environ(), hubDir+"="+k.dir, hubAddr+"="+k.addr, hubWhen+"="+k.point)
	k.child.Stderr = os.Stderr
	k.words = new(bytes.Buffer)
	k.child.Stdout = k.words
	var err error
	if k.orders, err = k.child.StdinPipe(); err != nil {
		k.t.Fatal(err)
	}
	if err := k.child.Start(); err != nil {
		k.t.Fatal(err)
	}
}

// arm has the child die soon. All viewers are there.
func (k *killed) arm() {
	for _, v := range k.viewers {
		v.mark()
	}
	after := 5 + rand.IntN(60)
	if k.point == afterAck {
		k.killAtAck.Store(int64(after))
		return
	}
	if _, err := fmt.Fprintln(k.orders, after, 1+rand.IntN(killViewers-1)); err != nil {
		k.t.Fatal(err)
	}
}

// wait waits for the child to die.
func (k *killed) wait() {
	dead := make(chan struct{})
	go func() {
		_ = k.child.Wait()
		close(dead)
	}()
	select {
	case <-dead:
	case <-time.After(15 * time.Second):
		_ = k.child.Process.Kill()
		<-dead
		k.t.Fatalf("the hub has not come to %q within 15 s", k.point)
	}
	if k.child.ProcessState.ExitCode() != -1 {
		k.t.Fatalf("the child ended by itself: %v", k.child.ProcessState)
	}
	k.lastWords = k.words.String()
}

// end kills the last child, and hangs up.
func (k *killed) end() {
	if k.child == nil {
		return
	}
	for _, c := range k.clients {
		c.Close()
	}
	_ = k.child.Process.Kill()
	_ = k.child.Wait()
	k.child = nil
	k.watching.Wait()
	k.sending.Wait()
}

// join connects a user who is in the room, as an ordinary client does, only with less patience: one that is late
// comes back when the others have been sending for a while.
func (k *killed) join(user string, late bool, o *client.JoinOptions) (*client.Client, *client.Room) {
	ctx, cancel := context.WithTimeout(k.t.Context(), 20*time.Second)
	defer cancel()
	opts := &client.Options{
		Token:      func(context.Context) (string, error) { return user, nil },
		BackoffMin: 10 * time.Millisecond, BackoffMax: 100 * time.Millisecond,
	}
	if late {
		opts.BackoffMin, opts.BackoffMax = time.Second, time.Second
	}
	c, err := client.Dial(ctx, "ws://"+k.addr+"/ws", opts)
	if err != nil {
		k.t.Fatal(err)
	}
	k.clients = append(k.clients, c)
	r, err := c.Join(ctx, killRoom, o)
	if err != nil {
		k.t.Fatal(err)
	}
	return c, r
}

// enter has the viewers and senders come and begin.
func (k *killed) enter() {
	k.stop = make(chan struct{})
	for i := range killViewers {
		v := &viewer{name: fmt.Sprint("viewer-", i), news: make(chan struct{}, 1)}
		_, r := k.join(v.name, i < killLate, nil)
		k.viewers = append(k.viewers, v)
		k.watching.Go(func() { v.watch(k.t, r) })
	}
	for i := range killSenders {
		user := fmt.Sprint("sender-", i)
		c, r := k.join(user, false, &client.JoinOptions{NoUpdates: true})
		k.sending.Go(func() {
			for n := 0; k.goesOn(); n++ {
				if !k.send(c, r, n%2 == 0, fmt.Sprintf(`"%s:%d"`, user, n)) {
					return
				}
			}
		})
	}
	c, r := k.join("flier", false, &client.JoinOptions{NoUpdates: true})
	k.sending.Go(func() { k.fly(c, r) })
}

func (k *killed) goesOn() bool {
	select {
	case <-k.stop:
		return false
	default:
		return true
	}
}

// fly sends danmaku, whatever becomes of them: their positions are seen, and not on disk for a while.
func (k *killed) fly(c *client.Client, r *client.Room) {
	for n := 0; k.goesOn() && c.Err() == nil; n++ {
		k.flyOnce(r, fmt.Sprintf(`"flier:%d"`, n))
	}
}

func (k *killed) flyOnce(r *client.Room, body string) {
	ctx, cancel := context.WithTimeout(k.t.Context(), 2*time.Second)
	defer cancel()
	_, _ = r.SendAs(ctx, strings.Trim(body, `"`), im.Danmaku, raw(body))
}

// leave has the senders finish, and the viewers see everything.
func (k *killed) leave() {
	close(k.stop)
	k.sending.Wait()
	c, r := k.join("last", false, &client.JoinOptions{NoUpdates: true})
	k.send(c, r, false, lastBody)
	k.watching.Wait()
}

// probe has a client who was never there before send a danmaku and a gift: only a hub that is back can answer. It
// returns the place of the gift.
func (k *killed) probe() im.Position {
	k.probes++
	c, r := k.join("prober", false, &client.JoinOptions{NoUpdates: true})
	k.flyOnce(r, fmt.Sprintf(`"flying-prober:%d"`, k.probes))
	body := fmt.Sprintf(`"prober:%d"`, k.probes)
	k.send(c, r, false, body)
	c.Close()
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, a := range k.acks {
		if a.body == body {
			return k.position(a)
		}
	}
	k.t.Fatalf("%s was not acknowledged", body)
	return im.Position{}
}

// position is the one with which an event was acknowledged.
func (k *killed) position(a ack) im.Position {
	pos, err := im.ParsePosition(strings.Trim(a.at, `"`))
	if err != nil {
		k.t.Error(err)
	}
	return pos
}

// back waits until every viewer has come to a place that was given after the restart, so that the next kill hits
// a full room.
func (k *killed) back(at im.Position) {
	for _, v := range k.viewers {
		if !v.await(at, 15*time.Second) {
			k.t.Fatalf("%s is not back within 15 s", v.name)
		}
	}
}

// send sends one event under one cid until it is acknowledged. It reports whether that came about.
func (k *killed) send(c *client.Client, r *client.Room, chat bool, body string) bool {
	ctx, cancel := context.WithTimeout(k.t.Context(), 40*time.Second)
	defer cancel()
	cid := strings.Trim(body, `"`)
	for {
		var got client.Receipt
		var err error
		if chat {
			got, err = r.SendAs(ctx, cid, im.Chat, raw(body))
		} else {
			got, err = c.CallAs(ctx, cid, "gift.send", killRoom, raw(body))
		}
		if err == nil && got.Status == client.StatusOK {
			k.acked(ack{body: body, at: string(got.Body), id: got.Event})
			return true
		}
		if ctx.Err() != nil || c.Err() != nil || got.Status != client.StatusUnknown {
			k.t.Errorf("%s came to %q: %v", body, got.Status, err)
			return false
		}
		k.again.Add(1)
	}
}

// acked notes an acknowledgement, which may be the one after which the hub is to die.
func (k *killed) acked(a ack) {
	k.mu.Lock()
	k.acks = append(k.acks, a)
	k.mu.Unlock()
	if k.killAtAck.Add(-1) == 0 {
		_ = k.child.Process.Kill()
	}
}
