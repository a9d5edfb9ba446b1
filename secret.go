package im

import (
	"crypto/rand"
	"fmt"
	"slices"
)

// SecretLog is a Log that keeps a secret beside its events, so that all hubs on
// it have the same one, also after a restart. A hub takes it if Options.Secret is unset. Without it a
// hub on a durable log needs Options.Secret.
type SecretLog interface {
	Log
	// Secret returns at least 16 random bytes: the same ones each time, in every
	// process that has opened the log, for as long as its events are there. The log makes
	// and stores them when it is made. The caller does not change them. New asks once.
	//
	// Whoever knows the secret can forge session ids, so the log keeps it from all who may not
	// read its events.
	Secret() []byte
}

// minSecret is the least length of a secret.
const minSecret = 16

// completeSecret finds the secret: the host's, else the log's, else a random one.
func (o *Options) completeSecret() error {
	if o.Secret != nil {
		o.Secret = slices.Clone(o.Secret)
		if len(o.Secret) < minSecret {
			return fmt.Errorf("im: Options.Secret has %d bytes: want at least %d random ones", len(o.Secret), minSecret)
		}
		return nil
	}
	if l, ok := o.Log.(SecretLog); ok {
		o.Secret = slices.Clone(l.Secret())
		if len(o.Secret) < minSecret {
			return fmt.Errorf("im: the Secret of Options.Log has %d bytes: want at least %d random ones; set Options.Secret to do without it", len(o.Secret), minSecret)
		}
		return nil
	}
	o.Secret = make([]byte, 32)
	rand.Read(o.Secret)
	if l, ok := o.Log.(DurableLog); ok && l.Durability() >= DurabilityLocalFsync {
		o.Logger.Warn("Options.Log outlives this process and Options.Secret does not: after a restart, and on other nodes, a retry "+
			"will look like a conflict, and session ids are void. Set Options.Secret to at least 16 random bytes that stay the same",
			"durability", int(l.Durability()))
	}
	return nil
}
