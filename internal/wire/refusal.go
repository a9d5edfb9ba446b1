package wire

import "strconv"

// AppendError appends an "error" message; retry is in milliseconds, 0 for no advice.
func AppendError(dst []byte, id uint64, code, reason string, retry int64) []byte {
	dst = appendHead(dst, OpError, id, "")
	dst = append(dst, `,"code":`...)
	dst = AppendString(dst, code)
	if reason != "" {
		dst = append(dst, `,"reason":`...)
		dst = AppendString(dst, reason)
	}
	if retry > 0 {
		dst = append(dst, `,"retry_ms":`...)
		dst = strconv.AppendInt(dst, retry, 10)
	}
	return append(dst, '}')
}
