module github.com/liveim/im/storage/bolt

go 1.26.0

require (
	github.com/anishathalye/porcupine v1.3.1
	github.com/liveim/im v0.0.0
	go.etcd.io/bbolt v1.5.0
	go.uber.org/goleak v1.3.0
)

require (
	golang.org/x/sys v0.45.0 // indirect
	pgregory.net/rapid v1.3.0 // indirect
)

replace github.com/liveim/im => ../..
