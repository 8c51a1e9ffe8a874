package lab

import (
	"context"
	"fmt"
	"time"

	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/internal/impair"
	"github.com/spf13/cobra"
)

// linkFlags are the flags of link.
type linkFlags struct {
	network  string
	duration time.Duration
	cfg      LinkConfig
}

func (t *tool) linkCommand() *cobra.Command {
	var f linkFlags
	c := &cobra.Command{
		Use:   "link",
		Short: "Pass datagrams and streams on over a bad path, until Ctrl-C",
		Long: "link listens at an address, over UDP and TCP, passes on what comes to another one, and mistreats it on the way. What a flag says holds both\n" +
			"ways, unless the flag with -back says something else about the way back. At the end it prints what has happened.",
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			for name, copyOver := range backFlags(&f.cfg) {
				if !c.Flags().Changed(name + "-back") {
					copyOver()
				}
			}
			return t.link(c.Context(), f)
		},
	}
	flags := c.Flags()
	flags.StringVar(&f.cfg.Listen, "listen", "127.0.0.1:0", "`HOST:PORT` to listen at; port 0 is a free one")
	flags.StringVar(&f.cfg.To, "to", "", "`HOST:PORT` to pass on to")
	flags.StringVar(&f.network, "network", "both", "udp, tcp or both")
	flags.Uint64Var(&f.cfg.Seed, "seed", 1, "what chance begins with")
	flags.DurationVar(&f.duration, "duration", 0, "end after this time (default: at Ctrl-C)")
	flags.DurationVar(&f.cfg.After, "after", 0, "faults begin after this time; until then there are only delay, jitter, rate, queue and mtu")
	flags.DurationVar(&f.cfg.For, "for", 0, "faults last for this time (default: for good)")
	flags.DurationVar(&f.cfg.Every, "every", 0, "faults come again after this time (default: once)")
	flags.DurationVar(&f.cfg.Rebind, "rebind", 0, "give peers another source address this often (default: never; UDP)")
	flags.DurationVar(&f.cfg.Reset, "reset", 0, "reset connections after this time on average (default: never; TCP)")
	flags.IntVar(&f.cfg.MaxPeers, "max-peers", DefaultLinkPeers, "how many peers, and connections, are kept apart")
	addConditions(c, &f.cfg.Out, "", "")
	addConditions(c, &f.cfg.Back, "-back", ", on the way back")
	return c
}

// addConditions makes the flags of one way.
func addConditions(c *cobra.Command, to *impair.Conditions, suffix, where string) {
	flags := c.Flags()
	share := func(at *float64, name, what string) {
		flags.Float64Var(at, name+suffix, 0, "share of datagrams that "+what+", 0 to 1"+where)
	}
	share(&to.Loss, "loss", "are lost")
	share(&to.Reorder, "reorder", "others overtake")
	share(&to.Duplicate, "duplicate", "come twice")
	share(&to.Flip, "flip", "come with a bit turned over")
	flags.Float64Var(&to.Burst.Share, "burst"+suffix, 0, "share of time in which nothing passes, 0 to 1"+where)
	flags.DurationVar(&to.Burst.Mean, "burst-length"+suffix, time.Second, "how long such a time is on average"+where)
	flags.DurationVar(&to.Delay, "delay"+suffix, 0, "how long everything takes"+where)
	flags.DurationVar(&to.Jitter, "jitter"+suffix, 0, "how much longer at most"+where)
	flags.DurationVar(&to.Hold, "hold"+suffix, impair.DefaultHold, "how long what is overtaken, or comes twice, is held back at most"+where)
	flags.BoolVar(&to.Dead, "dead"+suffix, false, "nothing passes"+where)
	flags.IntVar(&to.Rate, "rate"+suffix, 0, "bytes a second that pass (default: any number)"+where)
	flags.IntVar(&to.Queue, "queue"+suffix, impair.DefaultQueue, "bytes that wait for that at most"+where)
	flags.IntVar(&to.MTU, "mtu"+suffix, 0, "longest datagram that passes, in bytes (default: any)"+where)
}

// backFlags are, by name, what takes a condition of the way out for the way back.
func backFlags(cfg *LinkConfig) map[string]func() {
	out, back := &cfg.Out, &cfg.Back
	return map[string]func(){
		"loss": func() { back.Loss = out.Loss }, "reorder": func() { back.Reorder = out.Reorder },
		"duplicate": func() { back.Duplicate = out.Duplicate }, "flip": func() { back.Flip = out.Flip },
		"burst": func() { back.Burst.Share = out.Burst.Share }, "burst-length": func() { back.Burst.Mean = out.Burst.Mean },
		"delay": func() { back.Delay = out.Delay }, "jitter": func() { back.Jitter = out.Jitter },
		"hold": func() { back.Hold = out.Hold }, "dead": func() { back.Dead = out.Dead },
		"rate": func() { back.Rate = out.Rate }, "queue": func() { back.Queue = out.Queue }, "mtu": func() { back.MTU = out.MTU },
	}
}

func (t *tool) link(ctx context.Context, f linkFlags) error {
	switch f.network {
	case "both":
	case coap.NetworkUDP, coap.NetworkTCP:
		f.cfg.Networks = []string{f.network}
	default:
		return fmt.Errorf("%w: unknown network %q: udp, tcp or both", errUsage, f.network)
	}
	if f.cfg.To == "" {
		return fmt.Errorf("%w: nowhere to pass on to: --to is needed", errUsage)
	}
	if f.duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, f.duration)
		defer cancel()
	}
	l, err := NewLink(f.cfg)
	if err != nil {
		return err
	}
	say(t.io.Err, "dotslab: listening on %v, for %s\n", l.Addr(), f.cfg.To)
	err = l.Run(ctx)
	say(t.io.Out, "%v", l.Stats())
	return err
}
