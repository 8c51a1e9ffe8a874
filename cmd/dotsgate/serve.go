package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/dotsgate/dotsgate/internal/app"
	"github.com/dotsgate/dotsgate/internal/config"
	"github.com/dotsgate/dotsgate/internal/logging"
)

// version is set when the program is built.
var version = "dev"

// errUsage marks what is wrong with a command line that could be read.
var errUsage = errors.New("see --help")

// fileFlag adds the flag that names the configuration.
func fileFlag(c *cobra.Command) *string {
	return c.Flags().StringP("config", "c", "/etc/dotsgate/dotsgate.yaml", "configuration file")
}

func serveCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "serve", Short: "Run the gateway until it is told to stop", Args: cobra.NoArgs,
		Long: "Run the gateway. SIGTERM or SIGINT stops it in order, a second one at once; SIGHUP reads the configuration again, " +
			"with certificates, revocation lists and pre-shared keys. Exits 0 after an orderly stop, 1 when something failed, 2 when the configuration is wrong.",
	}
	file := fileFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error { return serve(c, *file) }
	return c
}

func serve(c *cobra.Command, file string) error {
	// From here on a SIGHUP that comes early waits, and does not end the process.
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	heir, err := app.Inherit()
	if err != nil {
		return err
	}
	cfg, err := config.Load(file)
	if err != nil {
		heir.Fail(err)
		return err
	}
	var level slog.LevelVar
	log, err := logging.NewVar(c.ErrOrStderr(), &level, cfg.Log.Level, cfg.Log.Format)
	if err != nil {
		heir.Fail(err)
		return err
	}
	memory := app.PlanMemory(os.DirFS("/"), os.Getenv)
	memory.Apply(log)
	a, err := heir.Build(c.Context(), cfg, log, version)
	if err != nil {
		return err
	}
	a.SetLevel(&level)
	a.SetMemory(memory)
	ctx, end := context.WithCancel(c.Context())
	var reloads sync.WaitGroup
	reloads.Go(func() { a.ReloadOn(ctx, hup) })
	err = a.Run(ctx)
	end()
	reloads.Wait()
	return err
}

func checkCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "check", Short: "Check a configuration and say of every mistake where it is and what to do", Args: cobra.NoArgs,
		Long: "Check a configuration. Exits 0 when it is good and 2 when it is not, with a line FILE:LINE:COLUMN: cause; fix for each mistake.",
	}
	file := fileFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		cfg, err := config.Load(*file)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(c.OutOrStdout(), "%s is good: listeners %d, uplinks %d, mitigators %d\n", cfg.File, len(cfg.Listeners), len(cfg.Uplinks), len(cfg.Mitigators))
		return err
	}
	return c
}

func configCommand() *cobra.Command {
	c := &cobra.Command{Use: "config", Short: "Show configurations", Args: cobra.NoArgs}
	example := c.Flags().Bool("example", false, "write the shortest configuration that works, with comments")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if !*example {
			return fmt.Errorf("say what to show: dotsgate config --example: %w", errUsage)
		}
		_, err := fmt.Fprint(c.OutOrStdout(), config.Example)
		return err
	}
	return c
}

func versionCommand() *cobra.Command {
	c := &cobra.Command{Use: "version", Short: "Show which version this is", Args: cobra.NoArgs}
	c.RunE = func(c *cobra.Command, _ []string) error {
		_, err := fmt.Fprintln(c.OutOrStdout(), "dotsgate", version)
		return err
	}
	return c
}
