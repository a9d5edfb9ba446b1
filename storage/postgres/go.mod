module github.com/liveim/im/storage/postgres

go 1.26.0

require (
	github.com/anishathalye/porcupine v1.3.1
	github.com/jackc/pgx/v5 v5.12.0
	github.com/liveim/im v0.0.0
	go.uber.org/goleak v1.3.0
)

replace github.com/liveim/im => ../..
