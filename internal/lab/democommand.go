package lab

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

// stageFlags adds the flags of demo and run.
func (cfg *StageConfig) stageFlags(c *cobra.Command) {
	c.Flags().StringVar(&cfg.Gateway, "gateway", "", "the gateway's `PROGRAM` (default: dotsgate beside dotslab)")
	c.Flags().StringVar(&cfg.Deploy, "deploy", "deploy/lab", "`DIRECTORY` of the gateway's configuration")
}

// programs finds the programs that are not given.
func (cfg *StageConfig) programs() error {
	own, err := os.Executable()
	if err != nil {
		return fmt.Errorf("looking for our own program: %w", err)
	}
	cfg.Lab = own
	cfg.Gateway = cmp.Or(cfg.Gateway, beside(own, "dotsgate"))
	if _, err := os.Stat(cfg.Gateway); err != nil {
		return fmt.Errorf("%w: looking for the gateway: %w", errUsage, err)
	}
	return nil
}

func (t *tool) demoCommand() *cobra.Command {
	var cfg StageConfig
	c := &cobra.Command{
		Use:   "demo",
		Short: "Play one attack through and check it at both ends",
		Long: "demo starts a simulated server and a gateway on free ports, asks for a mitigation, watches and withdraws it, and exits\n" +
			"0 only when all was as it must be. What it made is removed.",
		Args: noArguments,
	}
	cfg.stageFlags(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		if cfg.Deployment != "" && !c.Flags().Changed("deploy") {
			cfg.Deploy = filepath.Join("deploy", cfg.Deployment)
		}
		return t.play(c.Context(), cfg, Demo)
	}
	c.Flags().StringVar(&cfg.Deployment, "deployment", "", "play the `STORY` of deploy/STORY in place of it: "+strings.Join(Deployments(), ", "))
	c.Flags().StringVar(&cfg.Dir, "keep", "", "`DIRECTORY` to work in and to keep (default: a temporary one)")
	return c
}

func (t *tool) runCommand() *cobra.Command {
	var cfg StageConfig
	c := &cobra.Command{
		Use:   "run",
		Short: "Start a simulated server and a gateway, and tell what to try, until Ctrl-C",
		Args:  noArguments,
		RunE:  func(c *cobra.Command, _ []string) error { return t.play(c.Context(), cfg, Run) },
	}
	cfg.stageFlags(c)
	c.Flags().StringVar(&cfg.Dir, "state", "lab", "`DIRECTORY` of the keys, the store and the journals")
	return c
}

func (t *tool) play(ctx context.Context, cfg StageConfig, act func(context.Context, StageConfig, io.Writer) error) error {
	if err := cfg.programs(); err != nil {
		return err
	}
	return act(ctx, cfg, t.io.Out)
}
