package gift

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/liveim/im"
)

// Tier is what a paid message gets from some amount on.
type Tier struct {
	// Amount is the least that has the tier, in minor units of Options.Currency. Required; the first tier's is the
	// least that a paid message costs.
	Amount int64
	// Color is in the words of the page: up to 32 printable ASCII characters without spaces, such as "#1565c0". Required.
	Color string
	// Pin is how long the message stays pinned. Up to 24 h. Zero means that it is not pinned.
	Pin time.Duration
	// MaxLength is how many characters the text may have: 1 to 500. Required.
	MaxLength int
}

// DefaultTiers are those of a hub whose host chose none.
func DefaultTiers() []Tier {
	return []Tier{
		{Amount: 100, Color: "#1565c0", MaxLength: 50},
		{Amount: 500, Color: "#00bfa5", Pin: 2 * time.Minute, MaxLength: 150},
		{Amount: 1000, Color: "#ffb300", Pin: 5 * time.Minute, MaxLength: 200},
		{Amount: 5000, Color: "#e91e63", Pin: 30 * time.Minute, MaxLength: 250},
		{Amount: 10000, Color: "#e62117", Pin: time.Hour, MaxLength: 300},
	}
}

func checkTiers(tiers []Tier, most int64) error {
	var last int64
	for n, t := range tiers {
		switch {
		case t.Amount <= last || t.Amount > most:
			return fmt.Errorf("gift: Options.Tiers[%d].Amount is %d; want more than that of the tier before, and at most MaxAmount", n, t.Amount)
		case !validWord(t.Color, 32):
			return fmt.Errorf("gift: Options.Tiers[%d].Color is not 1 to 32 printable ASCII characters without spaces", n)
		case t.Pin < 0 || t.Pin > 24*time.Hour:
			return fmt.Errorf("gift: Options.Tiers[%d].Pin is %v; want 0 to 24 h", n, t.Pin)
		case t.MaxLength < 1 || t.MaxLength > 500:
			return fmt.Errorf("gift: Options.Tiers[%d].MaxLength is %d; want 1 to 500", n, t.MaxLength)
		}
		last = t.Amount
	}
	return nil
}

// tierAnswer is a tier as "gift.list" has it.
type tierAnswer struct {
	Amount    int64  `json:"amount"`
	Color     string `json:"color"`
	PinMS     int64  `json:"pin_ms,omitempty"`
	MaxLength int    `json:"max_length"`
}

func (g *Gifts) tierAnswers() []tierAnswer {
	out := make([]tierAnswer, len(g.opts.Tiers))
	for n, t := range g.opts.Tiers {
		out[n] = tierAnswer{t.Amount, t.Color, millis(t.Pin), t.MaxLength}
	}
	return out
}

// tier returns the best tier that an amount has.
func tier(tiers []Tier, amount int64) (Tier, bool) {
	n, exact := slices.BinarySearchFunc(tiers, amount, func(t Tier, a int64) int { return int(min(max(t.Amount-a, -1), 1)) })
	if !exact {
		n--
	}
	if n < 0 {
		return Tier{}, false
	}
	return tiers[n], true
}

// sendPaid answers "paid.send".
func (g *Gifts) sendPaid(ctx context.Context, req *im.Request) (any, error) {
	var amount int64
	var text string
	if err := decodeStrict(req.Body, field{name: "amount", number: &amount}, field{name: "text", text: &text}); err != nil {
		return nil, err
	}
	ask := hashed("paid", fmt.Sprint(amount), text)
	return g.order(ctx, req, ask, func(r *record) error {
		t, ok := tier(g.opts.Tiers, amount)
		if !ok {
			return refuse(im.CodeBadRequest, "a paid message costs at least %d", g.opts.Tiers[0].Amount)
		}
		text, err := g.checkText(ctx, req, text, t.MaxLength)
		if err != nil {
			return err
		}
		r.Sort, r.Text, r.Amount, r.Currency, r.PinFor = SortPaid, text, amount, g.opts.Currency, millis(t.Pin)
		r.Body = Body{Text: text, Color: t.Color}
		return nil
	})
}

// checkText returns the text to show.
func (g *Gifts) checkText(ctx context.Context, req *im.Request, text string, most int) (string, error) {
	text = strings.TrimSpace(text)
	switch {
	case text == "":
		return "", refuse(im.CodeBadRequest, "the message has no text")
	case utf8.RuneCountInString(text) > most:
		return "", refuse(im.CodeTooLarge, "the text has more than the %d characters that this amount buys", most)
	case !validText(text, maxShown):
		return "", refuse(im.CodeBadRequest, "the text holds control characters, or is too long")
	}
	if g.opts.Text == nil {
		return text, nil
	}
	shown, err := ask(ctx, &g.guard, "Options.Text", func(ctx context.Context) (string, error) { return g.opts.Text(ctx, req.User, req.Room, text) })
	if err != nil {
		return "", err
	}
	if shown == "" || !validText(shown, maxShown) {
		return "", fmt.Errorf("gift: Options.Text returned a text that is empty, too long or holds control characters")
	}
	return shown, nil
}

func pinKey(r *record) string { return "gift.pin." + r.ID }

// pin puts a paid message into the state of its room, for the time that is left of what was bought. To do it again has no
// other effect.
func (g *Gifts) pin(ctx context.Context, r *record) error {
	left := time.UnixMilli(r.Body.Until).Sub(g.now())
	if r.Sort != SortPaid || r.Body.Until == 0 || left < time.Millisecond {
		return nil
	}
	value := r.Body
	value.From = &Giver{ID: r.User, Name: r.Name}
	_, err := g.hub.Room(r.Room).Set(ctx, pinKey(r), value, im.WithTTL(left))
	return g.lenient(err, "a paid message is not pinned", r)
}

// unpin takes it out again.
func (g *Gifts) unpin(ctx context.Context, r *record) error {
	if r.Sort != SortPaid || r.Body.Until == 0 {
		return nil
	}
	return g.lenient(g.hub.Room(r.Room).Delete(ctx, pinKey(r)), "a paid message is not unpinned", r)
}

// lenient takes it that a room is full or closed: then it shows what it can.
func (g *Gifts) lenient(err error, what string, r *record) error {
	var refusal *im.Error
	if errors.As(err, &refusal) {
		switch refusal.Code {
		case im.CodeConflict, im.CodeRoomClosed, im.CodeTooLarge:
			g.opts.Logger.Warn("gift: "+what, "order", r.ID, "room", r.Room, "error", err)
			return nil
		}
	}
	return err
}
