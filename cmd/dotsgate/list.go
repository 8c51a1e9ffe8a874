package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/dotsgate/dotsgate/internal/admin"
	"github.com/dotsgate/dotsgate/internal/config"
)

// listCommands are the views of a running gateway.
func listCommands() []*cobra.Command {
	mitigations := list[admin.Mitigation]{
		name: "mitigations", short: "List what clients asked for and what stands upstream", filters: []string{"client", "uplink", "status"},
		get: (*admin.Client).Mitigations, write: func(w io.Writer, format string, items []admin.Mitigation) error {
			return admin.WriteMitigations(w, format, time.Now(), items)
		},
	}
	sessions := list[admin.Session]{
		name: "sessions", short: "List the clients' sessions", filters: []string{"client"},
		get: (*admin.Client).Sessions, write: func(w io.Writer, format string, items []admin.Session) error {
			return admin.WriteSessions(w, format, time.Now(), items)
		},
	}
	uplinks := list[admin.Uplink]{
		name: "uplinks", short: "List the upstream servers", filters: []string{"uplink"},
		get: (*admin.Client).Uplinks, write: func(w io.Writer, format string, items []admin.Uplink) error {
			return admin.WriteUplinks(w, format, time.Now(), items)
		},
	}
	return []*cobra.Command{mitigations.command(), sessions.command(), uplinks.command()}
}

// list is a command that asks the gateway over its socket.
type list[T any] struct {
	name, short string
	filters     []string
	get         func(*admin.Client, context.Context, admin.Filter) ([]T, error)
	write       func(w io.Writer, format string, items []T) error
}

func (l list[T]) command() *cobra.Command {
	c := &cobra.Command{Use: l.name, Short: l.short, Args: cobra.NoArgs}
	format := c.Flags().StringP("output", "o", admin.FormatTable, "output: table or json")
	gateway := socketFlags(c)
	var f admin.Filter
	for _, name := range l.filters {
		switch name {
		case "client":
			c.Flags().StringVar(&f.Client, name, "", "only of this client")
		case "uplink":
			c.Flags().StringVar(&f.Uplink, name, "", "only of this uplink")
		case "status":
			c.Flags().StringVar(&f.Status, name, "", "only with this status, such as mitigated")
		}
	}
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := checkFormat(*format); err != nil {
			return err
		}
		g, err := gateway()
		if err != nil {
			return err
		}
		items, err := l.get(g, c.Context(), f)
		if err != nil {
			return err
		}
		return l.write(c.OutOrStdout(), *format, items)
	}
	return c
}

// socketOf reads from a configuration where its gateway answers the operator.
func socketOf(file string) (string, error) {
	path, err := config.AdminSocket(file)
	if err == nil && path == "" {
		err = fmt.Errorf("%s has no admin.socket, so its gateway answers nobody: %w", file, errUsage)
	}
	return path, err
}
