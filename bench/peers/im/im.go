// Package impeer is this repository's own hub as a server of the comparison.
package impeer

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/bench/rig"
)

// Peers are the rows of this repository: of the ways to send that this system has.
func Peers() []rig.Peer {
	all := []rig.Peer{
		{Name: "im, io_uring", Dialect: dialect, New: starter(im.Chat, func(o *im.Options) { o.IO = im.IOUring })},
		{Name: "im, write(2)", Dialect: dialect, New: starter(im.Chat, func(o *im.Options) { o.IO = im.IOWrite })},
		{Name: "im, portable", Dialect: dialect, New: starter(im.Chat, func(o *im.Options) { o.IO = im.IOPortable })},
		{Name: "im, room by a message", Dialect: longDialect, New: starter(im.Chat, func(*im.Options) {}), Joins: true},
		{Name: "im, danmaku", Dialect: dialect, New: starter(im.Danmaku, func(*im.Options) {}), Sheds: true},
	}
	hub, err := im.New(authenticator(), &im.Options{IO: im.IOUring})
	if err != nil {
		return all[1:]
	}
	_ = hub.Close() // it has done nothing
	return all
}

// starter makes servers that publish events of a kind, with options that change may set.
func starter(kind im.Kind, change func(*im.Options)) func(rig.Setup) (rig.Server, error) {
	return func(setup rig.Setup) (rig.Server, error) {
		options := im.Options{
			Limits: im.Limits{
				User:       map[im.Kind]im.Limit{im.Danmaku: im.Unlimited},
				Connection: im.Unlimited,
				Requests:   im.Unlimited,
				Accept:     im.Unlimited,
			},
			NoCompression: !setup.Deflate,
			Bounds:        im.Bounds{JoinEvents: setup.History},
		}
		change(&options)
		return newServer(setup, kind, &options)
	}
}

// dialect joins by the query of the handshake, as the clients of this repository do where the request says
// who they are.
var dialect = rig.Dialect{
	Path:     func(room int) string { return "/im/ws?room=" + name(room) },
	Protocol: "im.v1",
	Joined:   `"op":"joined"`,
	Stream:   func(room int) string { return "/im/sse?room=" + name(room) },
	Poll:     func(room int) string { return "/im/poll?room=" + name(room) },
}

// longDialect joins by a message, as clients do that have a token for "hello", or come into another room.
var longDialect = rig.Dialect{
	Path:     func(int) string { return "/im/ws" },
	Protocol: "im.v1",
	Hello: func(room int) [][]byte {
		return [][]byte{fmt.Appendf(nil, `{"op":"join","id":1,"room":%q}`, name(room))}
	},
	Joined: `"op":"joined"`,
}

func name(room int) string { return "r" + strconv.Itoa(room) }

type server struct {
	hub      *im.Hub
	kind     im.Kind
	rooms    []*im.Room
	http     http.Server
	speakers []*speakers // of each room, made when it first needs them; only for danmaku
}

func newServer(setup rig.Setup, kind im.Kind, options *im.Options) (rig.Server, error) {
	hub, err := im.New(authenticator(), options)
	if err != nil {
		return nil, err
	}
	s := &server{hub: hub, kind: kind, rooms: make([]*im.Room, setup.Rooms), speakers: make([]*speakers, setup.Rooms)}
	mux := http.NewServeMux()
	mux.Handle("/im/", http.StripPrefix("/im", hub))
	s.http = http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	for i := range s.rooms {
		s.rooms[i] = hub.Room(name(i))
		if setup.History == 0 {
			continue
		}
		for _, key := range []string{"title", "slide", "poll"} {
			if _, err := s.rooms[i].Set(context.Background(), key, map[string]any{"text": "of the room " + name(i), "rank": i}); err != nil {
				return nil, errors.Join(err, hub.Close())
			}
		}
	}
	return s, nil
}

// authenticator makes a user of every client, by the number that it tells or by one of
// its own: a host looks at a token here.
func authenticator() im.Authenticator {
	var next atomic.Uint64
	return func(r *http.Request) (im.User, error) {
		number := r.Header.Get("X-Client")
		if number == "" {
			number = "n" + strconv.FormatUint(next.Add(1), 10)
		}
		id := "viewer-" + number
		return im.User{ID: id, Name: "Viewer " + number, Roles: []string{"viewer"}, Attrs: attrs(id)}, nil
	}
}

// attrs is what a host may want to know of a user: 150 bytes.
func attrs(id string) json.RawMessage {
	return fmt.Appendf(nil, `{"account":%q,"level":17,"badges":["fan","early"],"avatar":"https://img.example.com/a/%s.webp","country":"NO","since":"2023-04-01"}`, id, id)
}

// Serve implements [rig.Server].
func (s *server) Serve(l net.Listener) error {
	if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// Publish implements [rig.Server].
func (s *server) Publish(room int, message []byte) error {
	if s.kind == im.Danmaku {
		return s.say(room, message)
	}
	_, err := s.rooms[room].Send(context.Background(), s.kind, json.RawMessage(message))
	return err
}

// Close implements [rig.Server].
func (s *server) Close() error {
	err := s.hub.Close()
	for _, who := range s.speakers {
		if who != nil {
			who.wait()
		}
	}
	return cmp.Or(s.http.Close(), err)
}
