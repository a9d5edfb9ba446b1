package main

import (
	"bytes"
	"html/template"
	"net/http"
	"os"
)

// policy is as strict as a page that shows what strangers say should have it.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// newPage serves the files of a directory, and its index.html as a template, as examples/liveroom does.
func newPage(root, room string) (http.Handler, error) {
	if root == "" {
		return http.NotFoundHandler(), nil
	}
	files := os.DirFS(root)
	tmpl, err := template.ParseFS(files, "index.html")
	if err != nil {
		return nil, err
	}
	var index bytes.Buffer
	if err := tmpl.Execute(&index, struct{ Room string }{room}); err != nil {
		return nil, err
	}
	static := http.FileServerFS(files)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", policy)
		w.Header().Set("Cache-Control", "no-cache")
		if r.URL.Path != "/" {
			static.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(index.Bytes()) // the visitor may be gone
	}), nil
}
