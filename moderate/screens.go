package moderate

import (
	"context"
	"fmt"
	"time"

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

// Links is the check of links: they are taken out, held or refused, as the options of the finder say.
func Links(l *text.Links) Check {
	return func(_ context.Context, m *Message) (Verdict, error) {
		said, action, first := l.Apply(m.Text)
		v := Verdict{Rule: "links", Reason: "a link to " + first.Domain, Tell: "links are not welcome in this room"}
		switch action {
		case text.LinkBlock:
			v.Action = Block
		case text.LinkHold:
			v.Action = Hold
		case text.LinkStrip:
			v.Action, v.Text = Mask, said
		default:
			return Verdict{}, nil
		}
		return v, nil
	}
}

// Repeats is the check of what comes over and over: it is refused until the user has waited, or held if hold is set. now is the
// clock, nil means time.Now. Flow control merges what is equal among danmaku; this is for chat, and for what differs a
// little.
func Repeats(f *text.Flood, hold bool, now func() time.Time) Check {
	if now == nil {
		now = time.Now
	}
	reasons := map[text.FloodReason]string{
		text.FloodTexts:      "too many messages in a short time",
		text.FloodRepeat:     "the same message again and again",
		text.FloodRoomRepeat: "the same message by many",
	}
	return func(_ context.Context, m *Message) (Verdict, error) {
		found := f.Check(now(), m.Room, m.From.ID, m.Text)
		if found.Reason == text.FloodNone {
			return Verdict{}, nil
		}
		why := reasons[found.Reason]
		v := Verdict{Action: Block, Rule: "repeats", Reason: fmt.Sprintf("%s: %d times", why, found.Count), Tell: why, Wait: found.After}
		if hold {
			v.Action = Hold
		}
		return v, nil
	}
}
