package ws

import "slices"

const (
	extDeflate              = "permessage-deflate"
	paramServerNoTakeover   = "server_no_context_takeover"
	paramClientNoTakeover   = "client_no_context_takeover"
	paramServerWindowBits   = "server_max_window_bits"
	paramClientWindowBits   = "client_max_window_bits"
	deflateBothNoTakeover   = extDeflate + "; " + paramServerNoTakeover + "; " + paramClientNoTakeover
	deflateServerWindowBits = "; " + paramServerWindowBits + "=15"
)

// deflateParams are the parameters of one permessage-deflate element
// (RFC 7692 section 7.1). Zero window bits mean that the parameter is absent.
type deflateParams struct {
	serverNoTakeover bool
	clientNoTakeover bool
	serverBits       int
	clientBits       int
}

// parseDeflateParams validates the parameters of an offer, or of a response. ok
// is false if one is unknown, given twice or has a bad value: an offer is then
// to be declined, a response to be failed (RFC 7692 section 7.1).
func parseDeflateParams(params []ExtensionParam, offer bool) (d deflateParams, ok bool) {
	for i, p := range params {
		if slices.ContainsFunc(params[:i], func(q ExtensionParam) bool { return q.Name == p.Name }) {
			return d, false
		}
		switch p.Name {
		case paramServerNoTakeover:
			d.serverNoTakeover, ok = true, p.Value == ""
		case paramClientNoTakeover:
			d.clientNoTakeover, ok = true, p.Value == ""
		case paramServerWindowBits:
			d.serverBits, ok = windowBits(p.Value)
		case paramClientWindowBits:
			if d.clientBits, ok = windowBits(p.Value); offer && p.Value == "" {
				d.clientBits, ok = maxWindowBits, true
			}
		default:
			ok = false
		}
		if !ok {
			return d, false
		}
	}
	return d, true
}

const maxWindowBits = 15

// windowBits parses a base-2 logarithm of a window size: 8 to 15, in decimal
// without leading zeros.
func windowBits(s string) (int, bool) {
	switch {
	case len(s) == 1 && (s[0] == '8' || s[0] == '9'):
		return int(s[0] - '0'), true
	case len(s) == 2 && s[0] == '1' && s[1] >= '0' && s[1] <= '5':
		return 10 + int(s[1]-'0'), true
	}
	return 0, false
}

// acceptDeflate returns the first permessage-deflate offer that a server can
// accept. Offers that limit the server's window below 15 bits are declined: the
// compressor's window is fixed.
func acceptDeflate(offers []Extension) (deflateParams, bool) {
	for _, offer := range offers {
		if offer.Name != extDeflate {
			continue
		}
		d, ok := parseDeflateParams(offer.Params, true)
		if ok && (d.serverBits == 0 || d.serverBits == maxWindowBits) {
			return d, true
		}
	}
	return deflateParams{}, false
}
