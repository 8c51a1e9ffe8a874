// Command dotsctl is a DOTS client for detectors, scripts and people.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/dotsgate/dotsgate/internal/ctl"
)

var version string // set when it is built

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := ctl.Main(ctx, os.Args[1:], version, ctl.IO{Out: os.Stdout, Err: os.Stderr})
	stop()
	os.Exit(code)
}
