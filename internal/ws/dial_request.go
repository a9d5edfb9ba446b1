package ws

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

var ownHeaders = [...]string{
	"Connection", "Upgrade", headerKey, headerAccept, headerVersion, headerProtocol, headerExtensions,
}

// request builds the handshake request. Its URL has scheme http or https.
func (o *DialOptions) request(ctx context.Context, rawURL string) (*http.Request, error) {
	u, err := dialURL(rawURL)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(o.Protocols, func(p string) bool { return !isToken(p) }) {
		return nil, errors.New("ws: make each of DialOptions.Protocols a token of RFC 9110")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("ws: build handshake: %w", err)
	}
	if o.Header != nil {
		req.Header = o.Header.Clone()
	}
	for _, name := range ownHeaders {
		if _, ok := req.Header[name]; ok {
			return nil, fmt.Errorf("ws: remove %s from DialOptions.Header; Dial sets it", name)
		}
	}
	if host := req.Header.Get("Host"); host != "" {
		req.Host = host
		req.Header.Del("Host")
	}
	if u.User != nil && req.Header.Get("Authorization") == "" {
		password, _ := u.User.Password()
		req.SetBasicAuth(u.User.Username(), password)
	}
	var key [keySize]byte
	_, _ = rand.Read(key[:]) // never fails
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "websocket")
	req.Header.Set(headerVersion, "13")
	req.Header.Set(headerKey, base64.StdEncoding.EncodeToString(key[:]))
	if len(o.Protocols) > 0 {
		req.Header.Set(headerProtocol, strings.Join(o.Protocols, ", "))
	}
	if o.Deflate {
		req.Header.Set(headerExtensions, deflateBothNoTakeover)
	}
	return req, nil
}

// dialURL parses rawURL and maps ws to http, wss to https. Its errors do not
// quote the URL, which may carry a token.
func dialURL(rawURL string) (*url.URL, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, errors.New("ws: pass Dial an absolute URL such as wss://host/path")
	}
	switch u.Scheme {
	case "ws", "http":
		u.Scheme = "http"
	case "wss", "https":
		u.Scheme = "https"
	default:
		return nil, errors.New("ws: pass Dial a URL with scheme ws, wss, http or https")
	}
	if u.Hostname() == "" {
		return nil, errors.New("ws: pass Dial a URL with a host")
	}
	if u.Fragment != "" {
		return nil, errors.New("ws: pass Dial a URL without a fragment (RFC 6455 section 3)")
	}
	return u, nil
}

// checkResponse validates the server's handshake (RFC 6455 section 4.1). A
// reason that is not empty says what is wrong.
func (o *DialOptions) checkResponse(resp *http.Response, key string) (hs Handshake, reason string) {
	header := resp.Header
	accept, protocol := header[headerAccept], header[headerProtocol]
	switch {
	case resp.StatusCode != http.StatusSwitchingProtocols:
		return hs, "the server did not switch protocols; see the body for why"
	case !hasToken(header["Connection"], "upgrade"):
		return hs, "the response lacks Connection: Upgrade; check for a proxy in between"
	case len(header["Upgrade"]) != 1 || !strings.EqualFold(header.Get("Upgrade"), "websocket"):
		return hs, "the response lacks Upgrade: websocket; check for a proxy in between"
	case len(accept) != 1 || accept[0] != acceptFor(key).String():
		return hs, "Sec-WebSocket-Accept does not match the key; check that the server speaks WebSocket"
	case len(protocol) > 1 || len(protocol) == 1 && !slices.Contains(o.Protocols, protocol[0]):
		return hs, "the server chose a subprotocol that was not offered; offer one that it speaks"
	}
	if len(protocol) == 1 {
		hs.Protocol = protocol[0]
	}
	extensions, err := ParseExtensions(header[headerExtensions])
	switch {
	case err != nil:
		return Handshake{}, "Sec-WebSocket-Extensions is malformed; report it to the server's owner"
	case len(extensions) == 0:
		return hs, ""
	case !o.Deflate || len(extensions) > 1 || extensions[0].Name != extDeflate:
		return Handshake{}, "the server chose an extension that was not offered; report it to the server's owner"
	}
	// client_max_window_bits was not offered, and without the server's promise
	// to reset its context its messages could not be inflated.
	d, ok := parseDeflateParams(extensions[0].Params, false)
	if !ok || d.clientBits != 0 || !d.serverNoTakeover {
		return Handshake{}, "the server accepted permessage-deflate on other terms; dial without Deflate"
	}
	hs.Deflate = true
	return hs, ""
}

// keepBody replaces the response's body by its first KiB. It does not close the
// original, which would read the rest; the connection is closed anyway.
func keepBody(resp *http.Response) {
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	resp.Body = io.NopCloser(bytes.NewReader(body))
}
