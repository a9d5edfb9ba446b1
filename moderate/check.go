package moderate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/liveim/im"
)

// Action is what a check wants to be done with a message. A greater one is more severe.
type Action uint8

const (
	Allow Action = iota // let it on to the next check
	Mask                // show it with Verdict.Text in place of what it said, and let it on
	Hold                // have a moderator decide
	Block               // refuse it
)

var actionNames = [...]string{"allow", "mask", "hold", "block"}

// String returns the action's name in lower case.
func (a Action) String() string {
	if int(a) < len(actionNames) {
		return actionNames[a]
	}
	return fmt.Sprintf("action %d", uint8(a))
}

// Message is what a check looks at.
type Message struct {
	Room string
	Kind im.Kind
	From im.User
	// Text is what it says to people, as the checks before have left it. Checks change it by a Verdict only.
	Text string
	// Body is all of it, as the client sent it.
	Body json.RawMessage
	// ID names it: that of the event that it becomes. It is the same for a retry.
	ID string
}

// Verdict is what a check finds. The zero Verdict allows the message.
type Verdict struct {
	Action Action
	Text   string // of Mask: what is shown instead
	Rule   string // which check, or which entry of a list, it was: for the staff
	Reason string // a sentence for the staff
	// Tell is what the sender is told of a Block in place of Options.BlockedReason, and Wait after which time the same
	// message would be let through: 0 if that is not known, or never.
	Tell string
	Wait time.Duration
}

// Check looks at a message. It is called from many goroutines at once, must honour ctx, which ends with the hub's
// Timeouts.Send, and must return the same for a retry of the same message, or a Block may turn into something else. An error has the message refused as one that may be sent again.
type Check func(ctx context.Context, m *Message) (Verdict, error)

// Classify makes a check of a classifier that may be slow, such as a model behind the network. It waits for at most d, and
// then, or if the classifier fails, does what fallback says. The classifier's context ends then; one that does
// not heed that goes on in a goroutine of its own, of which there are at most 64: beyond that fallback counts at once.
func Classify(name string, d time.Duration, fallback Action, classify Check) Check {
	slots := make(chan struct{}, 64)
	type result struct {
		v   Verdict
		err error
	}
	return func(ctx context.Context, m *Message) (Verdict, error) {
		fall := func(why string) (Verdict, error) {
			return Verdict{Action: fallback, Text: m.Text, Rule: name, Reason: why}, nil
		}
		select {
		case slots <- struct{}{}:
		default:
			return fall("the classifier is busy")
		}
		ctx, cancel := context.WithTimeout(ctx, d)
		defer cancel()
		got := make(chan result, 1)
		copied := *m
		go func() {
			defer func() {
				<-slots
				if p := recover(); p != nil {
					got <- result{err: fmt.Errorf("moderate: the classifier %s panicked: %v", name, p)}
				}
			}()
			v, err := classify(ctx, &copied)
			got <- result{v, err}
		}()
		select {
		case r := <-got:
			if r.err != nil {
				return fall("the classifier failed: " + r.err.Error())
			}
			if r.v.Rule == "" {
				r.v.Rule = name
			}
			return r.v, nil
		case <-ctx.Done():
			return fall("the classifier took too long")
		}
	}
}

// screen runs a message through the checks, and has it wait if it must.
func (m *Moderation) screen(ctx context.Context, d *im.Draft, shadowed bool, next im.SendFunc) (im.Receipt, error) {
	if r, err, known := m.queues.of(d.Room).known(d.EventID()); known {
		return r, err // a retry of what waits, or waited
	}
	msg := &Message{Room: d.Room, Kind: d.Kind, From: d.From, Text: textOf(d.Body), Body: d.Body, ID: d.EventID()}
	held := ""
	for _, check := range m.opts.Checks {
		v, err := check(ctx, msg)
		if err != nil {
			return im.Receipt{}, fmt.Errorf("moderate: a check of messages failed: %w", err)
		}
		if v.Action != Allow {
			m.decide(ctx, d.Room, Decision{Action: v.Action.String(), User: d.From.ID, Event: d.EventID(), Text: msg.Text, Rule: v.Rule, Reason: v.Reason})
		}
		switch v.Action {
		case Mask:
			body, err := withText(d.Body, v.Text)
			if err != nil {
				return im.Receipt{}, err
			}
			d.Body, msg.Text = body, v.Text
		case Hold:
			held = v.Reason
			if held == "" {
				held = "a check wants a moderator to decide"
			}
		case Block:
			tell := v.Tell
			if tell == "" {
				tell = m.opts.BlockedReason
			}
			if v.Wait > 0 {
				return im.Receipt{}, &im.Error{Code: im.CodeRateLimited, Reason: tell, RetryAfter: v.Wait}
			}
			return im.Receipt{}, &im.Error{Code: im.CodeForbidden, Reason: tell}
		}
		if held != "" {
			break
		}
	}
	if held == "" {
		approval, err := m.Approval(ctx, d.Room)
		if err != nil {
			return im.Receipt{}, err
		}
		if approval.needs(d.Kind) {
			held = "the room's messages need approval"
		}
	}
	switch {
	case shadowed:
		return m.pretend(d), nil
	case held != "":
		return m.hold(d, held, next)
	}
	return next(ctx, d)
}

// textOf is what a body says to people: a string, or the field "text" of an object.
func textOf(body json.RawMessage) string {
	var s string
	if json.Unmarshal(body, &s) == nil {
		return s
	}
	var o struct {
		Text string `json:"text"`
	}
	_ = json.Unmarshal(body, &o)
	return o.Text
}

// withText returns a body that says something else.
func withText(body json.RawMessage, text string) (json.RawMessage, error) {
	said, err := json.Marshal(text)
	if err != nil {
		return nil, err
	}
	var s string
	if json.Unmarshal(body, &s) == nil {
		return said, nil
	}
	var o map[string]json.RawMessage
	if err := json.Unmarshal(body, &o); err != nil || o == nil {
		return nil, errors.New("moderate: a message without a text cannot be masked")
	}
	o["text"] = said
	return json.Marshal(o)
}
