package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/liveim/im"
	"github.com/liveim/im/ledger"
	"github.com/liveim/im/storage/postgres"
)

// A hub whose rooms are in a database: each further node is made the same way.
func ExampleNewLog() {
	ctx := context.Background()
	pool, err := pgxpool.New(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		panic(err)
	}
	defer pool.Close()
	log, err := postgres.NewLog(ctx, pool, &postgres.LogOptions{
		Schema:  "example_log",
		KeepAge: time.Hour,
	})
	if err != nil {
		panic(err)
	}
	defer log.Close()
	whoIs := func(*http.Request) (im.User, error) { return im.User{ID: "7"}, nil }
	hub, err := im.New(whoIs, &im.Options{Log: log})
	if err != nil {
		panic(err)
	}
	defer hub.Close()
	if _, err := hub.Room("42").Send(ctx, im.Notice, "welcome"); err != nil {
		panic(err)
	}
	page, err := log.Read(ctx, "42", im.Range{Newest: true, Max: 1})
	if err != nil {
		panic(err)
	}
	fmt.Printf("%s %s\n", page.Events[0].Kind, page.Events[0].Body)
	fmt.Println(log.Durability() == im.DurabilityLocalFsync)
	// Output:
	// notice "welcome"
	// true
}

// An order moves from one state to the next once, whoever tries.
func ExampleNewLedger() {
	ctx := context.Background()
	pool, err := pgxpool.New(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		panic(err)
	}
	defer pool.Close()
	orders, err := postgres.NewLedger(ctx, pool, &postgres.LedgerOptions{Schema: "example_ledger"})
	if err != nil {
		panic(err)
	}
	defer orders.Close()
	order := ledger.Entry{Key: "order/1", Kind: "gift.order", State: "new"}
	stored, err := orders.Commit(ctx, ledger.Change{Entry: order})
	if err != nil {
		panic(err)
	}
	order = stored[0]
	order.State = "charged"
	for range 2 {
		_, err := orders.Commit(ctx, ledger.Change{Entry: order})
		fmt.Println(err == nil, errors.Is(err, ledger.ErrStale))
	}
	// Output:
	// true false
	// false true
}
