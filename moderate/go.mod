module github.com/liveim/im/moderate

go 1.26.0

require (
	github.com/clipperhouse/uax29/v2 v2.7.0
	github.com/liveim/im v0.0.0
	go.uber.org/goleak v1.3.0
	golang.org/x/text v0.43.0
	pgregory.net/rapid v1.3.0
)

replace github.com/liveim/im => ..
