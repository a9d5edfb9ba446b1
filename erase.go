package im

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"
)

// eraseLater has the log erase what was deleted, if it can. What fails is tried again for a while; it is hidden
// in any case.
func (c *core) eraseLater(d *Deletion) {
	log, ok := c.hub.opts.Log.(Eraser)
	if !ok {
		return
	}
	c.hub.erasures.run(func() {
		const tries = 5
		for i := range tries {
			err := c.erase(c.hub.life, log, d)
			if err == nil || errors.Is(err, ErrGap) || c.hub.life.Err() != nil { // with ErrGap all of it is gone
				return
			}
			c.hub.opts.Logger.Warn("what was deleted cannot be erased; it stays hidden", "room", c.id, "error", err, "last_try", i == tries-1)
			select {
			case <-time.After(time.Second << i):
			case <-c.hub.life.Done():
				return
			}
		}
	})
}

func (c *core) erase(ctx context.Context, log Eraser, d *Deletion) error {
	if len(d.Seqs) > 0 {
		places := make([]Position, len(d.Seqs))
		for i, seq := range d.Seqs {
			places[i] = Position{d.Pos.Epoch, seq}
		}
		if err := log.Erase(ctx, c.id, places); err != nil {
			return err
		}
	}
	if d.User == "" {
		return nil
	}
	for before, more := d.Pos, true; more; {
		page, err := log.Read(ctx, c.id, Range{Before: before, Newest: true, Max: scanChunk})
		if err != nil || len(page.Events) == 0 {
			return err
		}
		var places []Position
		for _, e := range page.Events {
			if d.Deletes(e) && len(e.Body) > 0 {
				places = append(places, e.Pos)
			}
		}
		if len(places) > 0 {
			if err := log.Erase(ctx, c.id, places); err != nil {
				return err
			}
		}
		newest := slices.MaxFunc(page.Events, func(a, b *Event) int { return cmp.Compare(a.At.UnixMilli(), b.At.UnixMilli()) })
		more = page.More && !newest.At.Before(d.Since.Add(-historySlack))
		before = page.Events[0].Pos
	}
	return nil
}
