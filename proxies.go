package im

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// clientAddr returns the address that a request comes from.
func (h *Hub) clientAddr(r *http.Request) netip.Addr {
	addr := clientAddr(r, h.opts.Proxies)
	if len(h.opts.Proxies) == 0 && addr.IsValid() && !public(addr) && r.Header.Get("X-Forwarded-For") != "" {
		h.warnOfProxy(addr)
	}
	return addr
}

// clientAddr returns the address that a request comes from: of the peer, or, if that
// is one of the proxies, the rightmost address in X-Forwarded-For that is none of them. What
// stands left of it anybody can have written. It is invalid for requests that came over no network.
func clientAddr(r *http.Request, proxies []netip.Prefix) netip.Addr {
	addr, err := parseHop(r.RemoteAddr)
	if err != nil || !trusted(addr, proxies) {
		return addr
	}
	for _, line := range slices.Backward(r.Header.Values("X-Forwarded-For")) {
		for more := true; more; {
			var hop string
			i := strings.LastIndexByte(line, ',')
			if more = i >= 0; more {
				line, hop = line[:i], line[i+1:]
			} else {
				hop = line
			}
			a, err := parseHop(strings.Trim(hop, " \t"))
			if err != nil {
				return addr // nobody can tell what came before
			}
			if addr = a; !trusted(a, proxies) {
				return addr
			}
		}
	}
	return addr
}

// parseHop reads an address, with or without a port: proxies write both, and middleware
// writes both into Request.RemoteAddr.
func parseHop(s string) (netip.Addr, error) {
	if i := strings.LastIndexByte(s, ':'); i > 0 && (s[i-1] == ']' || strings.IndexByte(s, ':') == i) {
		if both, err := netip.ParseAddrPort(s); err == nil { // what the HTTP server writes
			return both.Addr().Unmap().WithZone(""), nil
		}
	}
	a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"))
	if err != nil {
		var both netip.AddrPort
		if both, err = netip.ParseAddrPort(s); err != nil {
			return netip.Addr{}, err
		}
		a = both.Addr()
	}
	return a.Unmap().WithZone(""), nil
}

func trusted(a netip.Addr, proxies []netip.Prefix) bool {
	return slices.ContainsFunc(proxies, func(p netip.Prefix) bool { return p.Contains(a) })
}

// clonePrefixes returns the networks in the form in which addresses are compared with them.
func clonePrefixes(list []netip.Prefix) ([]netip.Prefix, error) {
	list = slices.Clone(list)
	for i, p := range list {
		switch {
		case !p.IsValid():
			return nil, fmt.Errorf("im: Options.Proxies[%d] is not a network; make it with netip.ParsePrefix", i)
		case p.Addr().Is4In6():
			return nil, fmt.Errorf("im: Options.Proxies[%d] is %v: write it as a network of IPv4 addresses", i, p)
		case p.Bits() == 0:
			return nil, fmt.Errorf("im: Options.Proxies[%d] is %v, which is everybody: clients write into X-Forwarded-For what they like; name the networks of your proxies", i, p)
		}
		list[i] = p.Masked()
	}
	return list, nil
}
