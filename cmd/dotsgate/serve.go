package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/dotsgate/dotsgate/internal/app"
	"github.com/dotsgate/dotsgate/internal/config"
	"github.com/dotsgate/dotsgate/internal/logging"
	"github.com/spf13/cobra"
)

// fileFlag adds the flag that names the configuration.
func fileFlag(c *cobra.Command) *string {
	return c.Flags().StringP("config", "c", "/etc/dotsgate/dotsgate.yaml", "configuration file")
}

func serveCommand() *cobra.Command {
	c := &cobra.Command{Use: "serve", Short: "Run the gateway until it is told to stop", Args: cobra.NoArgs}
	file := fileFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		cfg, err := config.Load(*file)
		if err != nil {
			return err
		}
		log, err := logging.New(os.Stderr, cfg.Log.Level, cfg.Log.Format)
		if err != nil {
			return err
		}
		a, err := app.Build(c.Context(), cfg, log, version)
		if err != nil {
			return err
		}
		hup := make(chan os.Signal, 1)
		signal.Notify(hup, syscall.SIGHUP)
		defer signal.Stop(hup)
		go a.ReloadOn(c.Context(), hup)
		return a.Run(c.Context())
	}
	return c
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
		_, err = fmt.Fprintf(c.OutOrStdout(), "%s is good: %d listeners, %d uplinks\n", cfg.File, len(cfg.Listeners), len(cfg.Uplinks))
		return err
	}
	return c
}

func configCommand() *cobra.Command {
	c := &cobra.Command{Use: "config", Short: "Show configurations", Args: cobra.NoArgs}
	c.Flags().Bool("example", true, "write the shortest configuration that works, with comments")
	c.RunE = func(c *cobra.Command, _ []string) error {
		_, err := fmt.Fprint(c.OutOrStdout(), config.Example)
		return err
	}
	return c
}
