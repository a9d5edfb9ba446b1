package ws

import (
	"crypto/sha1"
	"encoding/base64"
	"net/http"
	"slices"
)

const (
	// acceptGUID is appended to the key before hashing (RFC 6455 section 1.3).
	acceptGUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
	keySize    = 16 // bytes of a Sec-WebSocket-Key before base64

	// maxHeaderFields is more fields than clients and proxies send together.
	maxHeaderFields = 256
	// maxListBytes bounds each header that is parsed as a list, in bytes.
	maxListBytes = 8 << 10
)

// The headers of the handshake, in the form that http.Header keeps keys in.
const (
	headerKey        = "Sec-Websocket-Key"
	headerAccept     = "Sec-Websocket-Accept"
	headerVersion    = "Sec-Websocket-Version"
	headerProtocol   = "Sec-Websocket-Protocol"
	headerExtensions = "Sec-Websocket-Extensions"
)

var (
	listHeaders = [...]string{"Connection", "Upgrade", headerProtocol, headerExtensions}
	// singleHeaders must not come twice: two readers could believe two values.
	singleHeaders = [...]string{"Host", "Origin", "X-Forwarded-Host", headerKey, headerVersion}
)

// Handshake is what the two sides agreed on. It is a value without references
// to the request.
type Handshake struct {
	// Protocol is the subprotocol in use; empty means none.
	Protocol string
	// Deflate is whether messages may be compressed (RFC 7692). Both sides
	// then do so without context takeover.
	Deflate bool

	accept     acceptValue // Sec-WebSocket-Accept
	windowBits bool        // the offer had server_max_window_bits, so the response must
}

// CheckRequest validates a client's opening handshake (RFC 6455 section 4.2.1)
// and chooses the subprotocol and compression to answer with. It neither writes
// nor reads the body.
//
// protocols are the subprotocols that the server speaks, best first; names are
// case-sensitive. If the client offers none of them, Protocol is empty, and the
// caller decides whether to go on. Compression is used if allowDeflate is set
// and the client made an offer that can be met.
//
// CheckRequest does not judge Origin beyond refusing more than one. The error
// is nil on success; otherwise it says how to answer, and the connection must
// be closed after the answer.
func CheckRequest(r *http.Request, protocols []string, allowDeflate bool) (*Handshake, *HandshakeError) {
	if err := checkAbuse(r.Header); err != nil {
		return nil, err
	}
	if err := checkUpgrade(r); err != nil {
		return nil, err
	}
	key, ok := requestKey(r.Header)
	if !ok {
		return nil, badRequest("send one Sec-WebSocket-Key of 16 base64-encoded bytes")
	}
	offered, ok := tokenList(r.Header[headerProtocol])
	if !ok {
		return nil, badRequest("send Sec-WebSocket-Protocol as a list of tokens")
	}
	extensions, err := ParseExtensions(r.Header[headerExtensions])
	if err != nil {
		return nil, badRequest("send Sec-WebSocket-Extensions as RFC 6455 section 9.1 writes it")
	}
	h := &Handshake{accept: acceptFor(key)}
	if i := slices.IndexFunc(protocols, func(p string) bool { return slices.Contains(offered, p) }); i >= 0 {
		h.Protocol = protocols[i]
	}
	if allowDeflate {
		var params deflateParams
		params, h.Deflate = acceptDeflate(extensions)
		h.windowBits = params.serverBits != 0
	}
	return h, nil
}

// AppendResponse appends the server's 101 response to dst, headers and blank
// line complete.
func (h *Handshake) AppendResponse(dst []byte) []byte {
	dst = append(dst, "HTTP/1.1 101 Switching Protocols\r\n"+
		"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "...)
	dst = append(dst, h.accept[:]...)
	if h.Protocol != "" {
		dst = append(dst, "\r\nSec-WebSocket-Protocol: "...)
		dst = append(dst, h.Protocol...)
	}
	if h.Deflate {
		dst = append(dst, "\r\nSec-WebSocket-Extensions: "+deflateBothNoTakeover...)
		if h.windowBits {
			dst = append(dst, deflateServerWindowBits...)
		}
	}
	return append(dst, "\r\n\r\n"...)
}

// checkAbuse bounds the work that the headers can cause, at a cost that does
// not depend on their content.
func checkAbuse(header http.Header) *HandshakeError {
	fields := 0
	for _, values := range header {
		fields += len(values)
	}
	if fields > maxHeaderFields {
		return badRequest("send at most 256 header fields")
	}
	for _, name := range listHeaders {
		if totalLen(header[name]) > maxListBytes {
			return badRequest("keep each of Connection, Upgrade and the Sec-WebSocket lists to 8 KiB")
		}
	}
	for _, name := range singleHeaders {
		if len(header[name]) > 1 {
			return badRequest("send Host, Origin, X-Forwarded-Host, Sec-WebSocket-Key and -Version once")
		}
	}
	return nil
}

func checkUpgrade(r *http.Request) *HandshakeError {
	switch {
	case r.Method != http.MethodGet:
		return methodNotAllowed()
	case r.ProtoMajor != 1 || r.ProtoMinor < 1:
		return badRequest("use HTTP/1.1 for WebSocket")
	case r.Host == "":
		return badRequest("send a Host header")
	case r.ContentLength != 0 || len(r.TransferEncoding) > 0:
		return badRequest("send the WebSocket handshake without a body")
	case !hasToken(r.Header["Connection"], "upgrade") || !hasToken(r.Header["Upgrade"], "websocket"):
		return upgradeRequired("send Connection: Upgrade and Upgrade: websocket")
	}
	if v := r.Header[headerVersion]; len(v) == 0 || trimOWS(v[0]) != "13" {
		return upgradeRequired("use Sec-WebSocket-Version 13")
	}
	return nil
}

func requestKey(header http.Header) (string, bool) {
	values := header[headerKey]
	if len(values) != 1 {
		return "", false
	}
	key := trimOWS(values[0])
	if len(key) != base64.StdEncoding.EncodedLen(keySize) {
		return "", false
	}
	raw, err := base64.StdEncoding.DecodeString(key)
	return key, err == nil && len(raw) == keySize
}

// acceptValue is a hash in base64.
type acceptValue [28]byte

func (a acceptValue) String() string { return string(a[:]) }

func acceptFor(key string) (accept acceptValue) {
	const size = 24 + len(acceptGUID) // a key of 16 bytes in base64, and the rest
	buf := append(append(make([]byte, 0, size), key...), acceptGUID...)
	sum := sha1.Sum(buf)
	base64.StdEncoding.Encode(accept[:], sum[:])
	return accept
}
