package im

import (
	"bytes"
	"net/http"
	"net/url"
	"strings"
)

// keptRequest is the request that opened a connection, for as long as the session lives:
// what an Authenticator may look at, without what belongs to the transport and without the
// context. It is one string, since ten thousand sessions keep ten thousand of them, and a
// request with its URL and its header is more than a kilobyte. The empty one is of a session that
// came over no network. It does not hold Request.TLS.
//
// Its strings stand one after the other, each as a number and what the number says: the string
// itself, or where it stands already, in keptWords or further ahead. So the path and the query are not there
// a second time beside the request's target, nor the host beside the Origin. The first is the address of the peer.
type keptRequest string

// keptWords are strings that most requests have. They need not be separated.
const keptWords = "GETPOSTHEADHTTP/1.1HTTP/2.0/ws/sse/poll/send" +
	"User-AgentOriginCookieX-Forwarded-ForX-Forwarded-ProtoX-Forwarded-HostX-Real-IpX-Request-IdForwardedRefererDnt" +
	"Content-TypeContent-LengthPriorityTraceparentkeep-alivegzip, deflate, br, zstdapplication/jsonhttps"

// What a number says of a string, in its two lowest bits; the rest is the length.
const (
	keptHere  = iota // it follows
	keptWord         // the number that follows says where it stands in keptWords
	keptAhead        // or in the kept request
	keptKinds
)

// keep packs a request.
func keep(r *http.Request) keptRequest {
	buf := messages.Get().(*[]byte)
	defer freeMessage(buf)
	p := packer((*buf)[:0])
	p.string(r.RemoteAddr)
	p.string(r.Method)
	p.string(r.Proto)
	p.number(uint64(r.ProtoMajor))
	p.number(uint64(r.ProtoMinor))
	p.string(r.RequestURI)
	p.string(r.Host)
	p.url(r.URL)
	for name, values := range r.Header {
		if ofTransport(name) {
			continue
		}
		p.string(name)
		p.number(uint64(len(values)))
		for _, v := range values {
			p.string(v)
		}
	}
	*buf = p
	return keptRequest(p)
}

// ofTransport reports whether a header is of no use after the connection was opened. A token
// must not stay in memory longer than it is needed.
func ofTransport(name string) bool {
	switch name {
	case "Authorization", "Connection", "Upgrade", "Pragma", "Cache-Control":
		return true
	}
	return strings.HasPrefix(name, "Sec-") || strings.HasPrefix(name, "Accept")
}

// remoteAddr is Request.RemoteAddr.
func (k keptRequest) remoteAddr() string {
	if k == "" {
		return ""
	}
	u := unpacker{all: string(k), rest: string(k)}
	return u.string()
}

// request makes the request anew: whoever gets it may change it.
func (k keptRequest) request() *http.Request {
	r := &http.Request{Method: http.MethodGet, URL: &url.URL{}, Header: http.Header{}}
	if k == "" {
		return r
	}
	u := unpacker{all: string(k), rest: string(k)}
	r.RemoteAddr, r.Method, r.Proto = u.string(), u.string(), u.string()
	r.ProtoMajor, r.ProtoMinor = int(u.number()), int(u.number())
	r.RequestURI, r.Host = u.string(), u.string()
	u.url(r.URL)
	for u.rest != "" {
		name := u.string()
		values := make([]string, u.number())
		for i := range values {
			values[i] = u.string()
		}
		r.Header[name] = values
	}
	return r
}

// header is Request.Header alone.
func (k keptRequest) header() http.Header { return k.request().Header }

// packer writes a keptRequest.
type packer []byte

func (p *packer) number(n uint64) {
	for ; n >= 0x80; n >>= 7 {
		*p = append(*p, byte(n)|0x80)
	}
	*p = append(*p, byte(n))
}

func (p *packer) string(s string) {
	const worth = 3 // bytes; a shorter one is not looked for
	if len(s) >= worth {
		if at := strings.Index(keptWords, s); at >= 0 {
			p.number(uint64(len(s)*keptKinds + keptWord))
			p.number(uint64(at))
			return
		}
		if at := bytes.Index(*p, []byte(s)); at >= 0 {
			p.number(uint64(len(s)*keptKinds + keptAhead))
			p.number(uint64(at))
			return
		}
	}
	p.number(uint64(len(s)*keptKinds + keptHere))
	*p = append(*p, s...)
}

// What a URL has besides strings.
const (
	keptForceQuery = 1 << iota
	keptOmitHost
	keptUser
	keptPassword
	keptRare // scheme, host and others, which the target of a request seldom has
)

func (p *packer) url(u *url.URL) {
	flags := uint64(0)
	if u.ForceQuery {
		flags |= keptForceQuery
	}
	if u.OmitHost {
		flags |= keptOmitHost
	}
	password, has := "", false
	if u.User != nil {
		flags |= keptUser
		if password, has = u.User.Password(); has {
			flags |= keptPassword
		}
	}
	if u.Scheme != "" || u.Opaque != "" || u.Host != "" || u.RawPath != "" || u.Fragment != "" || u.RawFragment != "" {
		flags |= keptRare
	}
	p.number(flags)
	p.string(u.Path)
	p.string(u.RawQuery)
	if flags&keptRare != 0 {
		for _, s := range []string{u.Scheme, u.Opaque, u.Host, u.RawPath, u.Fragment, u.RawFragment} {
			p.string(s)
		}
	}
	if u.User != nil {
		p.string(u.User.Username())
		p.string(password)
	}
}

// unpacker reads a keptRequest. What it returns refers to it, and is not a copy.
type unpacker struct{ all, rest string }

func (u *unpacker) number() (n uint64) {
	for shift := 0; ; shift += 7 {
		c := u.rest[0]
		u.rest = u.rest[1:]
		n |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return n
		}
	}
}

func (u *unpacker) string() (s string) {
	n := u.number()
	size := n / keptKinds
	switch n % keptKinds {
	case keptWord:
		at := u.number()
		return keptWords[at : at+size]
	case keptAhead:
		at := u.number()
		return u.all[at : at+size]
	}
	s, u.rest = u.rest[:size], u.rest[size:]
	return s
}

func (u *unpacker) url(to *url.URL) {
	flags := u.number()
	to.ForceQuery, to.OmitHost = flags&keptForceQuery != 0, flags&keptOmitHost != 0
	to.Path, to.RawQuery = u.string(), u.string()
	if flags&keptRare != 0 {
		for _, s := range []*string{&to.Scheme, &to.Opaque, &to.Host, &to.RawPath, &to.Fragment, &to.RawFragment} {
			*s = u.string()
		}
	}
	if flags&keptUser == 0 {
		return
	}
	name, password := u.string(), u.string()
	to.User = url.User(name)
	if flags&keptPassword != 0 {
		to.User = url.UserPassword(name, password)
	}
}
