// Logverify reads a log that storage/filelog keeps, whole, and says what is damaged. It
// changes nothing, and may run while a server has the log open.
//
//	go run ./examples/logverify /var/lib/live/rooms
//
// It ends with 0 if all is well, 1 if something is damaged, 2 if the log cannot be read.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/liveim/im/storage/filelog"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, out, errs io.Writer) (code int) {
	if len(args) != 1 {
		fmt.Fprintln(errs, "usage: logverify DIRECTORY")
		return 2
	}
	report, err := filelog.Verify(ctx, args[0])
	if err != nil {
		fmt.Fprintln(errs, err)
		return 2
	}
	fmt.Fprintf(out, "%d segments, %d bytes\n", report.Segments, report.Bytes)
	if report.Torn != nil {
		fmt.Fprintln(out, "not whole at the end, as after an unclean stop or while a server writes:", report.Torn)
	}
	for _, d := range report.Damage {
		fmt.Fprintln(out, "damaged:", d)
	}
	if len(report.Damage) > 0 {
		return 1
	}
	return 0
}
