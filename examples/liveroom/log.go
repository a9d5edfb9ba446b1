package main

import (
	"crypto/rand"
	"fmt"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/storage/filelog"
)

// openLog opens what keeps the rooms: a directory, or memory if that is empty. The secret
// lasts as long as the log does, and so do the guests that it signs.
func openLog(dir string) (log im.Log, secret []byte, closeLog func() error, err error) {
	if dir == "" {
		// Enough for the page of the replay: half an hour, or an hour of a calm room.
		log, err := im.NewMemoryLog(&im.MemoryLogOptions{KeepAge: time.Hour, KeepEvents: 20_000, KeepVolatile: 20_000})
		if err != nil {
			return nil, nil, nil, err
		}
		secret := make([]byte, 32)
		rand.Read(secret)
		return log, secret, func() error { return nil }, nil
	}
	file, err := filelog.Open(dir, nil)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("-data %s: %w", dir, err)
	}
	return file, file.Secret(), file.Close, nil
}
