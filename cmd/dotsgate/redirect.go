package main

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dotsgate/dotsgate/internal/admin"
)

// redirectTo is what flags say of another server.
type redirectTo struct {
	to  string
	ttl time.Duration
}

// redirectFlags adds the flags that name another server.
func redirectFlags(c *cobra.Command) *redirectTo {
	r := &redirectTo{}
	c.Flags().StringVar(&r.to, "to", "", "the other server: the name that its certificate has, then its addresses if it is not to be looked up: NAME[,ADDRESS...]")
	c.Flags().DurationVar(&r.ttl, "ttl", time.Hour, "for how long clients are to keep to it, in whole seconds")
	return r
}

// redirection is the order for a client, a domain or, with an empty name, everybody.
func (r *redirectTo) redirection(name string, off bool) (admin.Redirection, error) {
	order := admin.Redirection{Name: name, All: name == "", Off: off}
	switch seconds := r.ttl / time.Second; {
	case off && r.to != "":
		return order, fmt.Errorf("--off serves them here again, --to sends them on: use one of them: %w", errUsage)
	case off:
		return order, nil
	case r.to == "":
		return order, fmt.Errorf("say where they are to go: --to NAME[,ADDRESS...]: %w", errUsage)
	case r.ttl < 0 || r.ttl%time.Second != 0 || seconds >= math.MaxUint32:
		return order, fmt.Errorf("--ttl %v: use whole seconds: %w", r.ttl, errUsage)
	default:
		order.TTL = uint32(seconds)
	}
	parts := strings.Split(r.to, ",")
	order.Server, order.Addresses = parts[0], parts[1:]
	return order, nil
}

func redirectCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "redirect CLIENT|DOMAIN|--all", Short: "Send clients to another server", Args: cobra.MaximumNArgs(1),
		Long: "Send clients to another server: each is told in the answer to its next request, and those who observe something at once. A client under attack " +
			"is served here until its mitigations have ended. This holds until --off or a restart, and goes on over an upgrade. " +
			"A client's own goes before its domain's, and that before everybody's.",
	}
	all := c.Flags().Bool("all", false, "everybody")
	off := c.Flags().Bool("off", false, "serve them here again; who was told keeps to it for its time")
	to := redirectFlags(c)
	gateway := socketFlags(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		if *all != (len(args) == 0) {
			return fmt.Errorf("name a client or a domain, or use --all: %w", errUsage)
		}
		name := ""
		if !*all {
			name = args[0]
		}
		r, err := to.redirection(name, *off)
		if err != nil {
			return err
		}
		g, err := gateway()
		if err != nil {
			return err
		}
		return g.Redirect(c.Context(), r)
	}
	return c
}
