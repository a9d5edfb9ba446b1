package main

import (
	"fmt"
	"maps"
	"net/http"
	"sync"
)

// barrier stands between the browser and the hub, as a proxy that lets some
// things not through.
type barrier struct {
	mu sync.Mutex
	// Both by path. How requests are stopped, and how often they came over which version of HTTP.
	stops map[string]string
	seen  map[string]map[string]int
}

func newBarrier() *barrier {
	return &barrier{stops: map[string]string{}, seen: map[string]map[string]int{}}
}

// set stops requests of a path: "refuse" answers 403, "hang" never answers,
// "drop" cuts the connection, "pass" stops nothing.
func (b *barrier) set(path, how string) error {
	switch how {
	case "refuse", "hang", "drop", "pass":
	default:
		return fmt.Errorf("there is no way %q to stop a request: use refuse, hang, drop or pass", how)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stops[path] = how
	return nil
}

// versions tells how often which version of HTTP was used, by path.
func (b *barrier) versions() map[string]map[string]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := map[string]map[string]int{}
	for path, counts := range b.seen {
		all[path] = maps.Clone(counts)
	}
	return all
}

func (b *barrier) note(r *http.Request) (how string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	path := r.URL.Path
	if b.seen[path] == nil {
		b.seen[path] = map[string]int{}
	}
	b.seen[path][r.Proto]++
	return b.stops[path]
}

func (b *barrier) around(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch b.note(r) {
		case "refuse":
			http.Error(w, "This way is not allowed here.", http.StatusForbidden)
		case "hang":
			<-r.Context().Done()
		case "drop":
			panic(http.ErrAbortHandler)
		default:
			next.ServeHTTP(w, r)
		}
	})
}
