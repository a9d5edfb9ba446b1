package bolt_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/liveim/im/ledger"
	"github.com/liveim/im/storage/bolt"
)

// A ledger in a file remembers a key over restarts.
func ExampleOpen() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	for range 2 {
		l, err := bolt.Open(filepath.Join(dir, "orders.db"), nil)
		if err != nil {
			fmt.Println(err)
			return
		}
		_, err = l.Commit(context.Background(), ledger.Change{Entry: ledger.Entry{Key: "order/1", State: "paid"}})
		fmt.Println(errors.Is(err, ledger.ErrStale))
		if err := l.Close(); err != nil {
			fmt.Println(err)
		}
	}
	// Output:
	// false
	// true
}
