package main

import (
	"bytes"
	"cmp"
	"embed"
	"html/template"
	"io/fs"
	"net/http"
)

//go:embed web
var web embed.FS

// policy lets the page load its own files and connect to its own server, and
// nothing else: what a stranger says can never become a script.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// newPage serves the page of a room, that of its replay, and the files that they consist of.
func newPage(room string) (http.Handler, error) {
	files, err := fs.Sub(web, "web")
	if err != nil {
		return nil, err
	}
	tmpl, err := template.ParseFS(files, "index.html", "replay.html")
	if err != nil {
		return nil, err
	}
	var index bytes.Buffer
	if err := tmpl.ExecuteTemplate(&index, "index.html", struct{ Room string }{room}); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { writePage(w, index.Bytes()) })
	// Of /replay?room=, or of this room's. The hub says whether there is such a room.
	mux.HandleFunc("GET /replay", func(w http.ResponseWriter, r *http.Request) {
		var page bytes.Buffer
		err := tmpl.ExecuteTemplate(&page, "replay.html", struct{ Room string }{cmp.Or(r.URL.Query().Get("room"), room)})
		if err != nil {
			http.Error(w, "the page cannot be made", http.StatusInternalServerError)
			return
		}
		writePage(w, page.Bytes())
	})
	mux.Handle("GET /", http.FileServerFS(files))
	return secured(mux), nil
}

func writePage(w http.ResponseWriter, page []byte) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(page) // the visitor may be gone
}

func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-cache")
		next.ServeHTTP(w, r)
	})
}
