package ws

import "strings"

// isToken reports whether s is a token of RFC 9110 section 5.6.2.
func isToken(s string) bool {
	for i := range len(s) {
		if !isTokenByte(s[i]) {
			return false
		}
	}
	return s != ""
}

func isTokenByte(c byte) bool {
	switch {
	case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
		return true
	}
	return strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

func trimOWS(s string) string { return strings.Trim(s, " \t") }

// hasToken reports whether the comma-separated lists in values contain token,
// ignoring case.
func hasToken(values []string, token string) bool {
	for _, value := range values {
		for item := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(trimOWS(item), token) {
				return true
			}
		}
	}
	return false
}

// tokenList returns the tokens of the comma-separated lists in values. Empty
// items are skipped (RFC 9110 section 5.6.1.2); ok is false if anything else is
// no token.
func tokenList(values []string) (tokens []string, ok bool) {
	for _, value := range values {
		for item := range strings.SplitSeq(value, ",") {
			item = trimOWS(item)
			if item == "" {
				continue
			}
			if !isToken(item) {
				return nil, false
			}
			tokens = append(tokens, item)
		}
	}
	return tokens, true
}

func totalLen(values []string) int {
	n := 0
	for _, value := range values {
		n += len(value)
	}
	return n
}
