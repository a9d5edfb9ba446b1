package reaction

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/liveim/im"
)

// noted is the value of the key that keeps the last milestone of a total.
type noted struct {
	N uint64 `json:"n"`
}

func key(kind im.Kind) string { return "~reaction/" + string(kind) }

// eventID is the same on every node that sees a total pass.
func eventID(m Milestone) string { return fmt.Sprintf("reaction/%s/%d", m.Kind, m.N) }

// passed returns the milestones above last and up to total, the lowest first; of many the highest.
func (o *Options) passed(last, total uint64) (list []uint64) {
	if total <= last {
		return nil
	}
	for _, n := range o.At {
		if n > last && n <= total {
			list = append(list, n)
		}
	}
	if o.Every > 0 {
		for i, n := 0, total-total%o.Every; i < maxAtOnce && n > last; i, n = i+1, n-o.Every {
			list = append(list, n)
		}
	}
	slices.Sort(list)
	list = slices.Compact(list)
	return list[max(0, len(list)-maxAtOnce):]
}

// pass appends an event for each milestone that a total has passed, and notes it. Others may do the same at the same time.
func (r *Reactions) pass(t total) error {
	var err error
	for range maxTries {
		if err = r.try(t); err == nil || !again(err) {
			return err
		}
		wait := time.NewTimer(tryAgain)
		select {
		case <-wait.C:
		case <-r.life.Done():
			wait.Stop()
			return err
		}
	}
	return err
}

// again reports whether what has failed may work later.
func again(err error) bool {
	var e *im.Error
	return errors.As(err, &e) && (e.Code == im.CodeTimeout || e.Code == im.CodeOverloaded)
}

func (r *Reactions) try(t total) error {
	ctx, cancel := context.WithTimeout(r.life, 10*time.Second)
	defer cancel()
	room := r.hub.Room(t.room)
	total, err := room.Total(ctx, t.kind)
	if err != nil {
		return err
	}
	for tried := uint64(0); ; {
		value, version, err := room.State().Get(ctx, key(t.kind))
		if err != nil {
			return err
		}
		var last noted
		_ = json.Unmarshal(value, &last) // it is not there before the first
		list := r.opts.passed(last.N, total)
		if len(list) == 0 {
			return nil
		}
		m := Milestone{t.kind, list[0]}
		if err := r.announce(ctx, room, m); err != nil {
			return err
		}
		_, err = room.Set(ctx, key(t.kind), noted{m.N}, im.IfVersion(version))
		switch {
		case errors.Is(err, im.ErrConflict) && tried < m.N:
			tried = m.N
			continue // another node was first: look again
		case err != nil:
			return err
		}
		r.call(t.room, m)
	}
}

// announce appends the event of a milestone, unless it is there.
func (r *Reactions) announce(ctx context.Context, room *im.Room, m Milestone) error {
	_, err := room.Send(ctx, r.opts.Event, r.body(room.ID(), m), im.WithID(eventID(m)))
	if errors.Is(err, im.ErrConflict) {
		return nil // it is there, with another body: Options.Body is another one on another node
	}
	return err
}

// body asks the host. A panic counts as no Body.
func (r *Reactions) body(room string, m Milestone) (body any) {
	defer func() {
		if why := recover(); why != nil {
			r.opts.Logger.Error("Options.Body of reaction panicked", "room", room, "milestone", m.N, "panic", why, "stack", string(debug.Stack()))
			body = m
		}
	}()
	return r.opts.Body(room, m)
}

// call calls OnMilestone and does not wait for it.
func (r *Reactions) call(room string, m Milestone) {
	if r.opts.OnMilestone == nil || r.hanging.Load() >= maxHanging {
		return
	}
	r.hanging.Add(1)
	go func() {
		defer r.hanging.Add(-1)
		defer func() {
			if why := recover(); why != nil {
				r.opts.Logger.Error("OnMilestone panicked", "room", room, "reaction", m.Kind, "milestone", m.N, "panic", why, "stack", string(debug.Stack()))
			}
		}()
		ctx, cancel := context.WithTimeout(r.life, r.opts.HookTimeout)
		defer cancel()
		r.opts.OnMilestone(ctx, room, m)
	}()
}
