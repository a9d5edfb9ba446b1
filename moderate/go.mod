module github.com/liveim/im/moderate

go 1.26.0

require (
	github.com/liveim/im v0.0.0
	go.uber.org/goleak v1.3.0
)

replace github.com/liveim/im => ..
