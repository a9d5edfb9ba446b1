package im_test

import (
	"context"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/imtest"
	"github.com/liveim/im/internal/ws"
)

// TestOfferedOverSockets has as many danmaku as two processors can carry sent into
// one room, over sockets, by 50 clients who pack 50 into a message.
func TestOfferedOverSockets(t *testing.T) {
	const (
		clients = 50
		packed  = 50
		length  = 3 * time.Second
		want    = 100_000 // a second
	)
	hub, url := serve(t, imtest.BearerUser, &im.Options{Limits: noLimits}, nil, nil)
	join := func(user string) *ws.ClientConn {
		s := dialAs(t, url, user)
		s.send(`{"op":"join","id":1,"room":"42","tier":"critical"}`)
		s.expect("joined")
		return s.conn
	}
	conns := make([]*ws.ClientConn, clients)
	frames := make([][]byte, clients)
	for i := range conns {
		conns[i] = join(fmt.Sprint("sender ", i))
		message := []byte{'['}
		for j := range packed {
			if j > 0 {
				message = append(message, ',')
			}
			message = fmt.Appendf(message, `{"op":"send","id":%d,"room":"42","kind":"danmaku","body":{"text":"前方高能 %c%c","color":"#ffffff"}}`, 100+j, 'a'+i%26, 'a'+j%26)
		}
		frames[i] = ws.AppendMaskedFrame(nil, ws.OpText, true, false, [4]byte{1, 2, 3, 4}, append(message, ']'))
	}
	before, memory, begin := hub.Stats(), heap(), processorTime()
	ctx, stop := context.WithTimeout(t.Context(), length)
	defer stop()
	var readers, writers sync.WaitGroup
	for i, c := range conns {
		readers.Go(func() { _, _ = io.Copy(io.Discard, c) })
		writers.Go(func() {
			for ctx.Err() == nil {
				if _, err := c.Write(frames[i]); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	writers.Wait()
	after, spent, grown := hub.Stats(), processorTime()-begin, heap()-memory
	for _, c := range conns {
		_ = c.Close()
	}
	readers.Wait()
	// The machine may be busy with other things: what counts is the processor time of this
	// process, clients included, of which two cores have two seconds a second.
	offered := after.Offered - before.Offered
	rate := 2 * float64(offered) / spent.Seconds()
	t.Logf("%v for each danmaku, %.0f a second on two cores; %d shown, %d merged, %d shed; heap grew by %d KiB", spent/time.Duration(offered), rate, after.Shown-before.Shown, after.Merged-before.Merged, after.Shed-before.Shed, grown>>10)
	if rate < want && !raceDetector {
		t.Errorf("%.0f danmaku a second were taken, want %d", rate, want)
	}
	if grown > 16<<20 {
		t.Errorf("the heap grew by %d KiB", grown>>10)
	}
}
