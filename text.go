package im

import "encoding/json"

// textOf is the default of Options.Text: a body that is a string, or the field
// "text" of one that is an object.
func textOf(_ Kind, body json.RawMessage) string {
	if len(body) > 0 && body[0] == '"' {
		var s string
		_ = json.Unmarshal(body, &s) // no text then
		return s
	}
	var b struct {
		Text string `json:"text"`
	}
	// Where "text" is something else there is no text.
	_ = json.Unmarshal(body, &b)
	return b.Text
}

// textOf returns what a message says to people. Options.Text may be the host's code.
func (h *Hub) textOf(kind Kind, body json.RawMessage) (text string) {
	_ = h.protect("Options.Text", func() error {
		text = h.opts.Text(kind, body)
		return nil
	})
	return text
}
