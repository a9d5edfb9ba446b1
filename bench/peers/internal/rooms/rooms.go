// Package rooms is what every server of the comparison has to bring along because
// its library has no rooms, or none that is fast: which connections are in which
// room, the room that a handshake asks for, and an HTTP server on a given listener.
package rooms

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Path is the request target of a client of the room.
func Path(room int) string { return "/ws?room=" + strconv.Itoa(room) }

// Of returns the room that the request asks for. Where it asks for none, it answers
// the request and returns false.
func Of(w http.ResponseWriter, r *http.Request) (int, bool) {
	n, err := strconv.Atoi(r.URL.Query().Get("room"))
	if err != nil {
		http.Error(w, fmt.Sprintf("%s has no room=NUMBER in its query: ask for a path like %s.", r.URL, Path(17)), http.StatusBadRequest)
		return 0, false
	}
	return n, true
}

// Map is the rooms of a server, each made when it is first asked for. The zero
// value is empty. It is safe for concurrent use.
type Map[R any] struct {
	mu    sync.RWMutex // protects rooms
	rooms map[int]*R
}

// Get returns the room of this number.
func (m *Map[R]) Get(n int) *R {
	m.mu.RLock()
	r := m.rooms[n]
	m.mu.RUnlock()
	if r != nil {
		return r
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if r = m.rooms[n]; r == nil {
		if m.rooms == nil {
			m.rooms = make(map[int]*R)
		}
		r = new(R)
		m.rooms[n] = r
	}
	return r
}

// All calls do for each room.
func (m *Map[R]) All(do func(*R)) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for _, r := range m.rooms {
		do(r)
	}
}

// Members is the connections of one room: a slice to walk, because a message goes
// to all of them, and their places in it, so that one is found when it leaves. The
// zero value is empty. It is safe for concurrent use.
type Members[C comparable] struct {
	mu     sync.RWMutex // protects list and places
	list   []C
	places map[C]int
}

// Add puts c into the room.
func (m *Members[C]) Add(c C) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.places == nil {
		m.places = make(map[C]int)
	}
	m.places[c] = len(m.list)
	m.list = append(m.list, c)
}

// Remove takes c out of the room, if it is there.
func (m *Members[C]) Remove(c C) {
	m.mu.Lock()
	defer m.mu.Unlock()
	place, ok := m.places[c]
	if !ok {
		return
	}
	last := len(m.list) - 1
	m.list[place] = m.list[last]
	m.places[m.list[place]] = place
	delete(m.places, c)
	var none C
	m.list[last] = none
	m.list = m.list[:last]
}

// Each calls do for each connection of the room. Add and Remove wait until it is
// through, so do must not wait for them.
func (m *Members[C]) Each(do func(C)) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for _, c := range m.list {
		do(c)
	}
}

// HTTP serves a handler. Its zero value is not for use: see NewHTTP.
type HTTP struct{ server *http.Server }

// NewHTTP returns a server that calls h for each request.
func NewHTTP(h http.Handler) HTTP {
	return HTTP{&http.Server{Handler: h, ReadHeaderTimeout: time.Minute}}
}

// Serve answers requests until l is closed or Close is called, and then returns nil.
func (s HTTP) Serve(l net.Listener) error {
	err := s.server.Serve(l)
	if errors.Is(err, http.ErrServerClosed) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// Close ends Serve. Connections that became WebSockets are not the server's any more.
func (s HTTP) Close() error { return s.server.Close() }
