package im

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/liveim/im/web"
)

// staticFile is a file that the hub serves, whoever asks.
type staticFile struct {
	name        string // in package web
	contentType string
}

const (
	typeJS   = "text/javascript; charset=utf-8"
	typeTS   = "text/typescript; charset=utf-8"
	typeHTML = "text/html; charset=utf-8"
	typeCSS  = "text/css; charset=utf-8"
)

// pagePolicy is the content policy of the doctor: its own files, and the
// transports that it tries.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' ws: wss:; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

var staticFiles = map[string]staticFile{
	"/client.js":     {"im.js", typeJS},
	"/client.d.ts":   {"im.d.ts", typeTS},
	"/danmaku.js":    {"danmaku.js", typeJS},
	"/danmaku.d.ts":  {"danmaku.d.ts", typeTS},
	"/features.js":   {"features.js", typeJS},
	"/features.d.ts": {"features.d.ts", typeTS},
	"/diagnose.js":   {"diagnose.js", typeJS},
	"/diagnose.d.ts": {"diagnose.d.ts", typeTS},
	"/doctor":        {"doctor.html", typeHTML},
	"/doctor.js":     {"doctor.js", typeJS},
	"/doctor.css":    {"doctor.css", typeCSS},
}

// serveStatic serves a file. Browsers keep it, and ask each time whether it is
// still the same, so that a page and its hub never differ in version.
func (h *Hub) serveStatic(w http.ResponseWriter, r *http.Request, f staticFile) {
	if !slices.Contains(readMethods, r.Method) {
		w.Header().Set("Allow", strings.Join(readMethods, ", "))
		writeStatus(w, http.StatusMethodNotAllowed, errorf(CodeBadRequest, "use GET here"))
		return
	}
	content, err := web.Files.ReadFile(f.name)
	if err != nil {
		writeError(w, errorf(CodeNotFound, "this build does not hold the file"))
		return
	}
	header := w.Header()
	header.Add("Vary", "Origin")
	if foreign, err := h.checkOrigin(r); err == nil && foreign != "" { // a module of another origin needs to be told
		header.Set("Access-Control-Allow-Origin", foreign)
		header.Set("Access-Control-Allow-Credentials", "true")
	}
	sum := sha256.Sum256(content)
	header.Set("Content-Type", f.contentType)
	header.Set("Cache-Control", "no-cache")
	header.Set("ETag", `"`+base64.RawURLEncoding.EncodeToString(sum[:12])+`"`)
	header.Set("X-Content-Type-Options", "nosniff")
	if f.contentType == typeHTML {
		header.Set("Content-Security-Policy", pagePolicy)
		header.Set("Referrer-Policy", "no-referrer")
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}
