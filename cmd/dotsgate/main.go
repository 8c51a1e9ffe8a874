// Command dotsgate is the DOTS gateway, and the operator's view of a running one.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/dotsgate/dotsgate/internal/config"
	"github.com/spf13/cobra"
)

// Exit codes.
const (
	exitFailure = 1 // the gateway or the command failed
	exitUsage   = 2 // the command line or the configuration is wrong
)

// version is set when the program is built.
var version = "dev"

// errUsage marks errors of the command line.
var errUsage = errors.New("usage")

func main() {
	// The first signal stops in order; a second one ends at once, because the handler is gone by then.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx))
}

// run runs the command line and returns its exit code.
func run(ctx context.Context) int {
	root := &cobra.Command{
		Use: "dotsgate", Short: "A DOTS gateway: asks upstream for DDoS mitigation on behalf of its clients",
		SilenceUsage: true, SilenceErrors: true, Version: version,
	}
	root.AddCommand(serveCommand(), checkCommand(), configCommand())
	root.AddCommand(listCommands()...)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return fmt.Errorf("%w: %w", errUsage, err) })
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, err)
	var bad config.Errors
	if errors.As(err, &bad) || errors.Is(err, errUsage) {
		return exitUsage
	}
	return exitFailure
}
