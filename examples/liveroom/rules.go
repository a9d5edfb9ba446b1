package main

import (
	"embed"
	"fmt"

	"github.com/liveim/im"
	"github.com/liveim/im/moderate"
	"github.com/liveim/im/moderate/text"
	"github.com/liveim/im/moderate/words"
)

//go:embed words.txt
var wordList embed.FS

// rules are what may be said in the room. A real site reloads its list while it runs, which words.Live is for.
type rules struct {
	words  words.Live
	policy text.Policy
	links  *text.Links
}

func newRules() (*rules, error) {
	file, err := wordList.Open("words.txt")
	if err != nil {
		return nil, err
	}
	defer file.Close()
	links, err := text.NewLinks(nil)
	if err != nil {
		return nil, err
	}
	r := &rules{policy: text.Policy{MaxGraphemes: 200}, links: links}
	if err := r.words.Load(file); err != nil {
		return nil, fmt.Errorf("words.txt: %w", err)
	}
	return r, nil
}

// checks are the rules for messages.
func (r *rules) checks() []moderate.Check {
	return []moderate.Check{moderate.Text(&r.policy), moderate.Words(&r.words), moderate.Links(r.links)}
}

// paid applies them to a text that is paid for: before anything is charged.
func (r *rules) paid(said string) (string, error) {
	said, err := r.policy.Apply(said)
	if err != nil {
		return "", &im.Error{Code: im.CodeBadRequest, Reason: err.Error()}
	}
	if _, action, _ := r.links.Apply(said); action != text.LinkPass {
		return "", &im.Error{Code: im.CodeForbidden, Reason: "links are not welcome in this room"}
	}
	switch f := r.words.Filter(); f.Check(said).Action {
	case words.Block, words.Hold:
		return "", &im.Error{Code: im.CodeForbidden, Reason: "this message is against the rules of the room"}
	case words.Mask:
		return f.Mask(said), nil
	}
	return said, nil
}

// moderateRoom has the hub's rooms moderated by the rules.
func (s *server) moderateRoom() (err error) {
	s.moderation, err = moderate.New(s.hub, &moderate.Options{
		Role: func(u im.User, room string) moderate.Role {
			if u.HasRole(botRole) {
				return moderate.Member // bots speak for many, and are not held to the rules
			}
			return moderate.RoleOf(u, room)
		},
		Exempt: moderate.Member,
		Checks: s.rules.checks(),
		Audit:  s.record.note,
	})
	return err
}
