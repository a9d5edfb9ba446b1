package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/gift"
	"github.com/liveim/im/internal/replay"
	"github.com/liveim/im/ledger"
	"github.com/liveim/im/moderate"
	"github.com/liveim/im/presence"
	"github.com/liveim/im/reaction"
)

// graceful is how long a shutdown waits for viewers and requests.
const graceful = 5 * time.Second

// server is the web server of the demo and the hub that is mounted on it.
type server struct {
	hub      *im.Hub
	http     *http.Server
	listener net.Listener
	guests   *guests
	room     string
	storms   storm
	rules    *rules
	record   *record

	gifts      *gift.Gifts
	people     *presence.Presence
	reactions  *reaction.Reactions
	moderation *moderate.Moderation
	closeLog   func() error

	life  context.Context // of what runs in the background
	tasks sync.WaitGroup
}

// newServer listens on the configured address, but does not serve yet. The items are the
// recording that play will be given.
func newServer(ctx context.Context, c config, items []replay.Item) (*server, error) {
	page, err := newPage(c.room)
	if err != nil {
		return nil, err
	}
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", c.addr)
	if err != nil {
		return nil, err
	}
	log, secret, closeLog, err := openLog(c.data)
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	orders, closeOrders, err := openOrders(c.data)
	if err != nil {
		return nil, errors.Join(err, closeLog(), listener.Close())
	}
	rec, err := openRecord(c.data)
	if err != nil {
		return nil, errors.Join(err, closeOrders(), closeLog(), listener.Close())
	}
	closeAll := func() error { return errors.Join(rec.close(), closeOrders(), closeLog()) }
	rules, err := newRules()
	if err != nil {
		return nil, errors.Join(err, closeAll(), listener.Close())
	}
	known := newGuests(secret)
	var pressure func() float64 // of the machine: the hub measures it by itself
	if c.calm {
		pressure = func() float64 { return 0 }
	}
	hub, err := im.New(known.authenticate, &im.Options{
		Log: log,
		Limits: im.Limits{
			User: map[im.Kind]im.Limit{im.Danmaku: {N: 60, Per: 30 * time.Second}, im.Chat: {N: 30, Per: 30 * time.Second}},
			// The bots say what many people said, faster than one person may.
			Role: map[string]map[im.Kind]im.Limit{botRole: {im.Danmaku: im.Unlimited, im.Chat: im.Unlimited, im.Like: im.Unlimited}},
		},
		Pressure: pressure,
		Joins:    im.JoinPolicy{Except: []string{botRole}},
		// Enough to fill the list of the chat.
		Bounds: im.Bounds{JoinEvents: 100},
	})
	if err != nil {
		return nil, errors.Join(err, closeAll(), listener.Close())
	}
	s := &server{
		hub:      hub,
		listener: listener,
		guests:   known,
		room:     c.room,
		storms:   storm{lines: stormLines(items)},
		rules:    rules,
		record:   rec,
		closeLog: closeAll,
		life:     ctx,
	}
	hub.Handle(stormOp, s.storm)
	if err := s.plugIn(orders); err != nil {
		return nil, errors.Join(err, s.unplug(ctx), hub.Close(), s.closeLog(), listener.Close())
	}
	mux := http.NewServeMux()
	mux.Handle("/im/", http.StripPrefix("/im", hub))
	mux.Handle("POST /guest", http.NewCrossOriginProtection().Handler(known))
	mux.Handle("/", page)
	s.http = &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      15 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
	return s, nil
}

// plugIn has the packages of the room's features take part in the hub.
func (s *server) plugIn(orders ledger.Ledger) (err error) {
	if err := s.moderateRoom(); err != nil {
		return err
	}
	if err := s.sellGifts(orders); err != nil {
		return err
	}
	if s.people, err = presence.New(s.hub, &presence.Options{Except: []string{botRole}}); err != nil {
		return err
	}
	s.reactions, err = reaction.New(s.hub, &reaction.Options{At: []uint64{100, 1000}, Every: 10_000, Body: milestone})
	return err
}

// milestone is what the room is told of so many likes: the text is for pages that only know notices.
func milestone(_ string, m reaction.Milestone) any {
	return struct {
		reaction.Milestone
		Text string `json:"text"`
	}{m, fmt.Sprintf("❤ × %d", m.N)}
}

// unplug ends them, those that were made, while the hub goes on: what they still have to do is done by it.
func (s *server) unplug(ctx context.Context) (err error) {
	if s.gifts != nil {
		err = s.gifts.Close(ctx)
	}
	if s.moderation != nil {
		s.moderation.Close()
	}
	if s.people != nil {
		err = errors.Join(err, s.people.Close())
	}
	return err
}

// background runs f until it returns; its context ends with the server's.
func (s *server) background(f func(context.Context)) {
	s.tasks.Go(func() { f(s.life) })
}

// url is the address of a path for programs on this machine.
func (s *server) url(scheme, path string) string {
	host := s.listener.Addr().String()
	if addr, err := netip.ParseAddrPort(host); err == nil && addr.Addr().IsUnspecified() {
		host = fmt.Sprintf("localhost:%d", addr.Port())
	}
	return scheme + "://" + host + path
}

// serve answers requests until ctx ends or the listener fails. Requests that
// are under way when it returns go on.
func (s *server) serve(ctx context.Context) error {
	failed := make(chan error, 1)
	go func() { failed <- s.http.Serve(s.listener) }()
	select {
	case <-ctx.Done():
		return nil
	case err := <-failed:
		return err
	}
}

// shutdown tells the viewers when to come back and waits for them to go. The
// hub comes first: the web server does not know of connections that it has
// handed over.
func (s *server) shutdown(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, graceful)
	defer cancel()
	slog.Info("liveroom: shutting down")
	err := errors.Join(s.unplug(ctx), s.hub.Shutdown(ctx), s.http.Shutdown(ctx))
	s.tasks.Wait()
	return errors.Join(err, s.hub.Close(), s.reactions.Close(), s.closeLog()) // the log last: the hub writes to it until it has ended
}
