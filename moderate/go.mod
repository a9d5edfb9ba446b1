module github.com/liveim/im/moderate

go 1.26.0

require github.com/liveim/im v0.0.0

require (
	github.com/google/uuid v1.6.0 // indirect
	github.com/klauspost/compress v1.20.3 // indirect
	github.com/puzpuzpuz/xsync/v3 v3.5.1 // indirect
	golang.org/x/time v0.16.0 // indirect
)

replace github.com/liveim/im => ..
