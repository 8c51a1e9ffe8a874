package main

import (
	"context"
	"io"
	"time"

	"github.com/dotsgate/dotsgate/internal/admin"
	"github.com/dotsgate/dotsgate/internal/config"
	"github.com/spf13/cobra"
)

// listCommands are the views of a running gateway.
func listCommands() []*cobra.Command {
	return []*cobra.Command{
		listCommand("mitigations", "List what clients asked for and what stands upstream",
			func(ctx context.Context, c *admin.Client, w io.Writer, format string) error {
				items, err := c.Mitigations(ctx)
				if err != nil {
					return err
				}
				return admin.WriteMitigations(w, format, items)
			}),
		listCommand("sessions", "List the clients' sessions",
			func(ctx context.Context, c *admin.Client, w io.Writer, format string) error {
				items, err := c.Sessions(ctx)
				if err != nil {
					return err
				}
				return admin.WriteSessions(w, format, time.Now(), items)
			}),
		listCommand("uplinks", "List the upstream servers",
			func(ctx context.Context, c *admin.Client, w io.Writer, format string) error {
				items, err := c.Uplinks(ctx)
				if err != nil {
					return err
				}
				return admin.WriteUplinks(w, format, time.Now(), items)
			}),
	}
}

// listCommand makes a command that asks the gateway over its socket.
func listCommand(name, short string, show func(context.Context, *admin.Client, io.Writer, string) error) *cobra.Command {
	c := &cobra.Command{Use: name, Short: short, Args: cobra.NoArgs}
	format := c.Flags().StringP("output", "o", admin.FormatTable, "output: table or json")
	socket := c.Flags().String("socket", config.DefaultSocket, "the gateway's admin socket")
	c.RunE = func(c *cobra.Command, _ []string) error {
		return show(c.Context(), admin.NewClient(*socket), c.OutOrStdout(), *format)
	}
	return c
}
