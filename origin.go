package im

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// crossOrigin lets pages of allowed origins read the answers of a path, answers
// their preflights, and refuses all other foreign pages. It reports whether the
// request is still to be served.
func (h *Hub) crossOrigin(w http.ResponseWriter, r *http.Request, route *route) bool {
	header := w.Header()
	header.Add("Vary", "Origin")
	foreign, err := h.checkOrigin(r)
	if err != nil {
		header.Set("Connection", "close") // whatever follows the request is not read
		writeError(w, err)
		return false
	}
	if foreign != "" {
		header.Set("Access-Control-Allow-Origin", foreign)
		header.Set("Access-Control-Allow-Credentials", "true")
		header.Set("Access-Control-Expose-Headers", "Retry-After")
	}
	if r.Method != http.MethodOptions {
		return true
	}
	methods := strings.Join(route.methods, ", ")
	header.Set("Allow", methods)
	if foreign != "" {
		header.Add("Vary", "Access-Control-Request-Method")
		header.Add("Vary", "Access-Control-Request-Headers")
		header.Set("Access-Control-Allow-Methods", methods)
		header.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Last-Event-ID")
		header.Set("Access-Control-Max-Age", "600")
	}
	header.Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
	return false
}

// checkOrigin refuses requests of foreign pages. The same host is allowed, and
// what Options.Origins names, which it returns; a request without an Origin is not
// of a page, unless the browser says that it is.
func (h *Hub) checkOrigin(r *http.Request) (foreign string, err error) {
	origins := r.Header.Values("Origin")
	switch {
	case len(origins) > 1:
		return "", errorf(CodeBadRequest, "the request has %d Origin headers", len(origins))
	case len(origins) == 0:
		// Browsers leave the Origin out of some requests of foreign pages whose
		// answers those cannot read; they would still act for the user.
		switch r.Header.Get("Sec-Fetch-Site") {
		case "cross-site", "same-site":
			return "", &Error{Code: CodeOrigin}
		}
		return "", nil
	}
	origin := origins[0]
	if slices.ContainsFunc(h.opts.Origins, func(o string) bool { return strings.EqualFold(o, origin) }) {
		return origin, nil
	}
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || !sameHost(u, r.Host) {
		return "", &Error{Code: CodeOrigin}
	}
	return "", nil
}

// sameHost reports whether a page of origin talks to its own host and port. The port
// that the origin's scheme implies may be left out.
func sameHost(origin *url.URL, host string) bool {
	if strings.EqualFold(origin.Host, host) {
		return true
	}
	standard := map[string]string{"http": ":80", "https": ":443"}[origin.Scheme]
	return strings.EqualFold(strings.TrimSuffix(origin.Host, standard), strings.TrimSuffix(host, standard))
}
