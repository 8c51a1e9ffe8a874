// Command dotsgate is the DOTS gateway, and the operator's view of a running one.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/dotsgate/dotsgate/internal/admin"
	"github.com/dotsgate/dotsgate/internal/config"
)

// Exit codes.
const (
	exitFailure = 1 // the gateway or the command failed
	exitUsage   = 2 // the command line or the configuration is wrong
)

func main() {
	// The first signal stops in order; a second one ends at once, because the handler is gone by then.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run runs the command line and returns its exit code.
func run(ctx context.Context, args []string, out, errOut io.Writer) int {
	understood := false
	root := &cobra.Command{
		Use: "dotsgate", Short: "A DOTS gateway: asks upstream for DDoS mitigation on behalf of its clients",
		SilenceUsage: true, SilenceErrors: true, Version: version,
		PersistentPreRun: func(*cobra.Command, []string) { understood = true },
	}
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errOut)
	root.AddCommand(serveCommand(), checkCommand(), configCommand(), versionCommand())
	root.AddCommand(listCommands()...)
	root.AddCommand(orderCommands()...)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	var bad config.Errors
	var mistakes admin.Mistakes
	wrong := errors.As(err, &bad) || errors.As(err, &mistakes)
	text := err.Error()
	if !wrong { // a mistake has a line of its own, anything else is one line
		text = strings.Join(strings.Fields(text), " ")
	}
	_, _ = fmt.Fprintln(errOut, text) // there is nobody else to tell
	if !understood || wrong || errors.Is(err, errUsage) {
		return exitUsage
	}
	return exitFailure
}
