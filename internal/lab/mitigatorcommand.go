package lab

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

func (t *tool) mitigatorCommand() *cobra.Command {
	var cfg MitigatorConfig
	c := &cobra.Command{
		Use:   "mitigator",
		Short: "Be one run of a simulated mitigator, as the program of a gateway's mitigator",
		Long: "mitigator answers one question on its standard input, and ends. What is in force is kept in DIRECTORY/in-force.json; each start,\n" +
			"change and stop is a line of DIRECTORY/journal. The scenario is read anew each time.",
		Args: noArguments,
		RunE: func(*cobra.Command, []string) error {
			if cfg.Dir == "" {
				return fmt.Errorf("%w: --dir is needed", errUsage)
			}
			return Mitigate(cfg, os.Stdin, t.io.Out)
		},
	}
	c.Flags().StringVar(&cfg.Dir, "dir", "", "`DIRECTORY` of its state and its journal, which is there")
	c.Flags().StringVar(&cfg.Scenario, "scenario", "", "`FILE` that says how much is attacked, and how much of it is dropped")
	return c
}
