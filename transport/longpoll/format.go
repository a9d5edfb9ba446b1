package longpoll

import "bytes"

// Element is the format of all messages: an element of an array, with the comma
// and a line break behind it. Messages hold no line breaks, so that the last byte of
// an element is known without a look at the message.
type Element struct{}

// end is what follows a message in an element.
const end = ",\n"

// Append implements [transport.Format]. Line breaks, which JSON knows only
// between its tokens, become spaces.
func (Element) Append(dst, message []byte) []byte {
	start := len(dst)
	dst = append(dst, message...)
	for b := dst[start:]; ; {
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			break
		}
		b[i] = ' '
		b = b[i+1:]
	}
	return append(dst, end...)
}
