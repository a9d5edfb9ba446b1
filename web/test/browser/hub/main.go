// Hub is the server of the browser tests: a page and a hub on one port, and what
// the tests do to them on another.
//
// It prints the addresses of both as one line of JSON, and ends with its standard input.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

// config is what the flags say.
type config struct {
	addr    string
	root    string
	room    string
	origins string
	tls     bool
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("hub: ")
	var c config
	flag.StringVar(&c.addr, "addr", "127.0.0.1:0", "`address` to listen on; a restarted hub listens there again")
	flag.StringVar(&c.root, "root", "", "`directory` of the page")
	flag.StringVar(&c.room, "room", "42", "`name` that the page's index.html gets as {{.Room}}")
	flag.StringVar(&c.origins, "origins", "", "foreign `origins` that may connect, separated by commas")
	flag.BoolVar(&c.tls, "tls", false, "serve HTTPS and HTTP/2 with a certificate that nobody has signed")
	flag.Parse()
	if err := run(c, os.Stdin, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// run serves until in ends.
func run(c config, in io.Reader, out io.Writer) error {
	v, err := newVenue(c)
	if err != nil {
		return err
	}
	if err := v.open(); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return errors.Join(err, v.shut("close"))
	}
	control := &http.Server{Handler: newControl(v), ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = control.Serve(listener) }() // ends with Close, below

	err = json.NewEncoder(out).Encode(map[string]string{"url": v.url(), "control": "http://" + listener.Addr().String()})
	if err == nil {
		_, err = io.Copy(io.Discard, in)
	}
	return errors.Join(err, control.Close(), v.shut("close"))
}

// list splits what is separated by commas.
func list(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

// sendTimeout bounds one attempt of the host to say something.
const sendTimeout = 5 * time.Second

func sendContext() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), sendTimeout)
}
