// Command dotsgate is the DOTS gateway, and the operator's view of a running one.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
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
	if err := root.ExecuteContext(ctx); err != nil {
		return tell(errOut, err, understood)
	}
	return 0
}
