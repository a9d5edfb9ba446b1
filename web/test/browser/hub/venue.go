package main

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/liveim/im"
)

// venue is a web server with a hub that can be closed and opened again at the same
// address, on the same log.
type venue struct {
	config  config
	log     *im.MemoryLog
	page    http.Handler
	cert    *tls.Certificate // nil without TLS
	barrier *barrier

	// mu guards what open and shut replace.
	mu   sync.Mutex
	addr string // since the first open with the port
	hub  *im.Hub
	http *http.Server
}

func newVenue(c config) (*venue, error) {
	v := &venue{config: c, addr: c.addr, barrier: newBarrier()}
	var err error
	if v.log, err = im.NewMemoryLog(nil); err != nil {
		return nil, err
	}
	if v.page, err = newPage(c.root, c.room); err != nil {
		return nil, err
	}
	if c.tls {
		v.cert, err = selfSigned()
	}
	return v, err
}

// open listens and serves.
func (v *venue) open() error {
	hub, err := im.New(authenticate, &im.Options{
		Log: v.log,
		// Retries are known as such by every hub on this log.
		Secret:  []byte("the hubs before and after a restart"),
		Origins: list(v.config.origins),
		// The tests compare whole lists.
		Bounds: im.Bounds{JoinEvents: 500},
		// Tests say what many people say.
		Limits: im.Limits{
			User:       map[im.Kind]im.Limit{im.Danmaku: im.Unlimited, im.Chat: im.Unlimited, im.State: im.Unlimited},
			Room:       map[im.Kind]im.Limit{im.Chat: im.Unlimited},
			Connection: im.Unlimited,
		},
		Flow: im.Flow{Budget: -1},
		// However busy the machine of the tests is, nothing is left out for it.
		Pressure: func() float64 { return 0 },
		// A stalled connection is found while a test waits.
		Timeouts: im.Timeouts{Heartbeat: time.Second, Answer: time.Second},
	})
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/im/", http.StripPrefix("/im", hub))
	mux.Handle("/", v.page)
	server := &http.Server{Handler: v.barrier.around(mux), ReadHeaderTimeout: 5 * time.Second}

	v.mu.Lock()
	defer v.mu.Unlock()
	listener, err := net.Listen("tcp", v.addr)
	if err != nil {
		return errors.Join(err, hub.Close())
	}
	v.addr, v.hub, v.http = listener.Addr().String(), hub, server
	if v.cert == nil {
		go func() { _ = server.Serve(listener) }() // ends with shut
		return nil
	}
	server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{*v.cert}, MinVersion: tls.VersionTLS12}
	go func() { _ = server.ServeTLS(listener, "", "") }()
	return nil
}

// shut ends the hub and then the server: "close" cuts all off, "shutdown" tells
// clients when to come back.
func (v *venue) shut(how string) error {
	v.mu.Lock()
	hub, server := v.hub, v.http
	v.mu.Unlock()
	switch how {
	case "close":
		return errors.Join(hub.Close(), server.Close())
	case "shutdown":
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		return errors.Join(hub.Shutdown(ctx), server.Shutdown(ctx))
	}
	return fmt.Errorf("there is no way %q to end: use close or shutdown", how)
}

func (v *venue) url() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.cert != nil {
		return "https://" + v.addr
	}
	return "http://" + v.addr
}

// room is a room of the hub that is open now.
func (v *venue) room(name string) *im.Room {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.hub.Room(name)
}

// persist says something until a hub has taken it, under an id that makes it one event.
func (v *venue) persist(ctx context.Context, room string, kind im.Kind, body any, id string) error {
	for {
		sending, cancel := sendContext()
		_, err := v.room(room).Send(sending, kind, body, im.WithID(id))
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// authenticate takes everybody for what they say they are: the token, or the
// cookie "user", is base64url of JSON. It lets tests choose names that a login would not.
func authenticate(r *http.Request) (im.User, error) {
	said, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		cookie, err := r.Cookie("user")
		if err != nil {
			return im.User{}, im.ErrNoCredentials
		}
		said = cookie.Value
	}
	var u struct {
		ID    string   `json:"id"`
		Name  string   `json:"name"`
		Roles []string `json:"roles"`
	}
	text, err := base64.RawURLEncoding.DecodeString(said)
	if err == nil {
		err = json.Unmarshal(text, &u)
	}
	if err != nil {
		return im.User{}, &im.Error{Code: im.CodeUnauthorized}
	}
	return im.User{ID: u.ID, Name: u.Name, Roles: u.Roles}, nil
}
