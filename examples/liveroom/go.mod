module github.com/liveim/im/examples/liveroom

go 1.26.0

require (
	github.com/liveim/im v0.0.0
	github.com/liveim/im/audit v0.0.0
	github.com/liveim/im/moderate v0.0.0
	github.com/liveim/im/storage/bolt v0.0.0
	go.uber.org/goleak v1.3.0
	golang.org/x/mod v0.41.0
)

require (
	github.com/clipperhouse/uax29/v2 v2.7.0 // indirect
	github.com/google/uuid v1.6.0 // indirect
	github.com/klauspost/compress v1.20.3 // indirect
	github.com/puzpuzpuz/xsync/v3 v3.5.1 // indirect
	go.etcd.io/bbolt v1.5.0 // indirect
	golang.org/x/sys v0.45.0 // indirect
	golang.org/x/text v0.43.0 // indirect
	golang.org/x/time v0.16.0 // indirect
)

replace (
	github.com/liveim/im => ../..
	github.com/liveim/im/audit => ../../audit
	github.com/liveim/im/moderate => ../../moderate
	github.com/liveim/im/storage/bolt => ../../storage/bolt
)
