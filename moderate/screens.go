package moderate

import (
	"context"

	"github.com/liveim/im/moderate/text"
	"github.com/liveim/im/moderate/words"
)

// Words is the check of a list of words, which may be replaced while it is in use.
func Words(live *words.Live) Check {
	return func(_ context.Context, m *Message) (Verdict, error) {
		f := live.Filter() // one list for the verdict and the mask
		found := f.Check(m.Text)
		v := Verdict{}
		switch found.Action {
		case words.Block:
			v.Action = Block
		case words.Hold:
			v.Action = Hold
		case words.Mask:
			v.Action, v.Text = Mask, f.Mask(m.Text)
		default:
			return v, nil
		}
		w := found.Match.Word
		v.Rule, v.Reason = w.Text, "the word "+w.Text+" is on the list"
		if w.Label != "" {
			v.Reason += ", as " + w.Label
		}
		return v, nil
	}
}

// Text is the check of what characters a message may have: what disturbs is taken out of it, and the sender is told what is
// too long or cannot be seen.
func Text(p *text.Policy) Check {
	return func(_ context.Context, m *Message) (Verdict, error) {
		said, err := p.Apply(m.Text)
		switch {
		case err != nil:
			return Verdict{Action: Block, Rule: "text", Reason: err.Error(), Tell: err.Error()}, nil
		case said != m.Text:
			return Verdict{Action: Mask, Text: said, Rule: "text", Reason: "characters that disturb were taken out"}, nil
		}
		return Verdict{}, nil
	}
}
