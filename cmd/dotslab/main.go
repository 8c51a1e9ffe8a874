// Command dotslab is a laboratory for DOTS: a private PKI, a simulated server, a load generator, a demonstration.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/dotsgate/dotsgate/internal/lab"
)

var version string // set when it is built

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := lab.Main(ctx, os.Args[1:], version, lab.IO{Out: os.Stdout, Err: os.Stderr})
	stop()
	os.Exit(code)
}
