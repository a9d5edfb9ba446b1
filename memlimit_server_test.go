package im_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest"
	"github.com/liveim/im/internal/brownout"
)

// pressed is the server, in a process of its own.
type pressed struct {
	t       *testing.T
	url     string // of its WebSockets
	process *os.Process
	in      io.Writer
	out     *bufio.Scanner
}

type pressStats struct {
	im.Stats
	Filled int // bytes that are held for nothing
}

func (s pressStats) String() string {
	return fmt.Sprintf("pressure %.2f, brown-out %v", s.Pressure, s.Brownout)
}

// startPressed builds the tests without the race detector, whose shadow memory no limit knows, and
// starts TestF11Server in a process with GOMEMLIMIT.
func startPressed(t *testing.T) *pressed {
	t.Helper()
	program := filepath.Join(t.TempDir(), "im.test")
	if out, err := exec.CommandContext(t.Context(), "go", "test", "-race=false", "-c", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("go test -c: %v\n%s", err, out)
	}
	cmd := exec.Command(program, "-test.run", "^TestF11Server$", "-test.timeout", "5m")
	cmd.Env = append(os.Environ(), "IM_F11_SERVER=1", "GOMEMLIMIT="+strconv.Itoa(memoryLimit))
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &pressed{t: t, process: cmd.Process, in: in, out: bufio.NewScanner(out)}
	t.Cleanup(func() {
		_ = in.Close() // ends it
		for p.out.Scan() {
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("the server: %v", err)
		}
	})
	if !p.out.Scan() {
		t.Fatal("the server does not start")
	}
	p.url = p.out.Text()
	return p
}

// ask has the server do something, and returns how it is.
func (p *pressed) ask(what string) (s pressStats) {
	p.t.Helper()
	if _, err := fmt.Fprintln(p.in, what); err != nil {
		p.t.Fatal(err)
	}
	if !p.out.Scan() {
		p.t.Fatal("the server has died")
	}
	if err := json.Unmarshal(p.out.Bytes(), &s); err != nil {
		p.t.Fatal(err)
	}
	return s
}

// until waits for the server to be in some way.
func (p *pressed) until(most time.Duration, ok func(pressStats) bool) (s pressStats) {
	p.t.Helper()
	for end := time.Now().Add(most); time.Now().Before(end); <-time.After(200 * time.Millisecond) {
		if s = p.ask("stats"); ok(s) {
			return s
		}
	}
	p.t.Fatalf("the server stays at %v", s)
	return s
}

// stored returns the ids of the gifts in the history of a room.
func (p *pressed) stored(room string) map[string]bool {
	p.t.Helper()
	ids, after := map[string]bool{}, ""
	for {
		base := "http" + strings.TrimSuffix(strings.TrimPrefix(p.url, "ws"), "/ws")
		req, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, base+"/rooms/"+room+"/history?max=500&after="+after, nil)
		if err != nil {
			p.t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer auditor-"+room)
		req.Close = true
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			p.t.Fatal(err)
		}
		var page struct {
			Epoch  string
			More   bool
			Events []struct {
				Seq      uint64
				ID, Kind string
			}
		}
		err = json.NewDecoder(resp.Body).Decode(&page)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK {
			p.t.Fatalf("history of %s: %s, %v", room, resp.Status, err)
		}
		for _, e := range page.Events {
			if after = fmt.Sprint(page.Epoch, ".", e.Seq); e.Kind == string(im.Gift) {
				ids[e.ID] = true
			}
		}
		if !page.More || len(page.Events) == 0 {
			return ids
		}
	}
}

// peak is the most memory that the server held at any time, in bytes.
func (p *pressed) peak() int {
	p.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	_, rest, _ := bytes.Cut(status, []byte("VmHWM:"))
	fields := bytes.Fields(rest)
	kb, err := strconv.Atoi(string(fields[0]))
	if err != nil {
		p.t.Fatal(err)
	}
	return kb << 10
}

// TestF11Server is no test but the server of one: see startPressed.
func TestF11Server(t *testing.T) {
	if os.Getenv("IM_F11_SERVER") == "" {
		return
	}
	hub, err := im.New(imtest.BearerUser, &im.Options{Limits: unlimited, NoCompression: true, Timeouts: im.Timeouts{Heartbeat: 10 * time.Minute}})
	if err != nil {
		t.Fatal(err)
	}
	hub.Handle("gift.send", func(ctx context.Context, r *im.Request) (any, error) {
		e, err := hub.Room(r.Room).Send(ctx, im.Gift, r.Body, im.WithID(r.EventID()), im.AsUser(r.User))
		if err != nil {
			return nil, err
		}
		return map[string]string{"event": e.ID}, nil
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.StripPrefix("/im", hub)}
	var serving sync.WaitGroup
	serving.Go(func() { _ = srv.Serve(l) })
	fmt.Printf("ws://%s/im/ws\n", l.Addr())
	var ballast [][]byte
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		switch in.Text() {
		case "fill": // up to where the hub is pressed
			meter := brownout.NewMeter()
			const chunk = 4 << 20
			for pause := time.Duration(0); meter.Read().Memory < 1.1 && len(ballast)*chunk < memoryLimit*9/10; <-time.After(pause) {
				ballast = append(ballast, bytes.Repeat([]byte{1}, chunk))
				if len(ballast)*chunk > memoryLimit/2 {
					pause = 100 * time.Millisecond
				}
			}
		case "free":
			ballast = nil
			runtime.GC()
		}
		b, _ := json.Marshal(pressStats{hub.Stats(), len(ballast) * (4 << 20)})
		fmt.Printf("%s\n", b)
	}
	_ = hub.Close()
	_ = srv.Close()
	serving.Wait()
	runtime.KeepAlive(ballast)
}
