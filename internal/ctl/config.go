package ctl

import (
	"context"
	"fmt"
	"math"
	"strings"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/spf13/cobra"
)

// parameters are the flags of config set.
type parameters struct {
	sid        uint64
	heartbeat  int
	missing    int
	probing    int
	retransmit int
	ackTimeout float64
	ackFactor  float64
	set        string
}

func (t *tool) configCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "config",
		Short: "Show or change the parameters of a session",
		Long: "config shows the parameters that the server offers, or sets them. They hold for one session only, so that what is\n" +
			"set here ends with the command: it shows whether the server accepts it.",
	}
	c.AddCommand(t.configGetCommand(), t.configSetCommand(), t.configDeleteCommand())
	return c
}

func (t *tool) configGetCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "get",
		Short: "Show the parameters and their ranges",
		Args:  noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			return t.open(c.Context(), func(ctx context.Context, conn *Conn) error {
				ctx, cancel := t.waiting(ctx)
				defer cancel()
				resp, err := conn.GetConfig(ctx, dots.Maybe[uint64]{})
				if err != nil {
					return err
				}
				if !resp.Code.Success() {
					return t.printAnswer(resp, dots.Maybe[uint32]{})
				}
				for _, l := range configLines(resp.Config) {
					if err := t.print(l); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
}

func (t *tool) configSetCommand() *cobra.Command {
	var p parameters
	c := &cobra.Command{
		Use:   "set",
		Short: "Ask for other parameters",
		Args:  noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			config, err := p.config()
			if err != nil {
				return err
			}
			return t.open(c.Context(), func(ctx context.Context, conn *Conn) error {
				ctx, cancel := t.waiting(ctx)
				defer cancel()
				resp, err := conn.PutConfig(ctx, p.sid, config)
				if err != nil {
					return err
				}
				return t.printAnswer(resp, dots.Maybe[uint32]{})
			})
		},
	}
	f := c.Flags()
	f.Uint64Var(&p.sid, "sid", 1, "number of the configuration")
	f.IntVar(&p.heartbeat, "heartbeat-interval", -1, "seconds")
	f.IntVar(&p.missing, "missing-hb-allowed", -1, "heartbeats")
	f.IntVar(&p.probing, "probing-rate", -1, "bytes per second")
	f.IntVar(&p.retransmit, "max-retransmit", -1, "retransmissions")
	f.Float64Var(&p.ackTimeout, "ack-timeout", -1, "seconds")
	f.Float64Var(&p.ackFactor, "ack-random-factor", -1, "factor")
	f.StringVar(&p.set, "set", "both", "which set to change: mitigating, idle or both")
	return c
}

func (t *tool) configDeleteCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "delete",
		Short: "Go back to the default parameters",
		Args:  noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			return t.open(c.Context(), func(ctx context.Context, conn *Conn) error {
				ctx, cancel := t.waiting(ctx)
				defer cancel()
				resp, err := conn.DeleteConfig(ctx, dots.Maybe[uint64]{})
				if err != nil {
					return err
				}
				return t.printAnswer(resp, dots.Maybe[uint32]{})
			})
		},
	}
}

// config makes the configuration that the flags ask for.
func (p parameters) config() (dots.SessionConfig, error) {
	var set dots.ConfigSet
	for _, v := range []struct {
		given int
		into  *dots.Bounds[uint16]
	}{
		{p.heartbeat, &set.HeartbeatInterval},
		{p.missing, &set.MissingHBAllowed},
		{p.probing, &set.ProbingRate},
		{p.retransmit, &set.MaxRetransmit},
	} {
		if v.given > math.MaxUint16 {
			return dots.SessionConfig{}, fmt.Errorf("%w: %d is beyond 65535", ErrUsage, v.given)
		}
		if v.given >= 0 {
			v.into.Current = dots.Some(uint16(v.given))
		}
	}
	if p.ackTimeout >= 0 {
		set.AckTimeout.Current = dots.Some(dots.Decimal(math.Round(100 * p.ackTimeout)))
	}
	if p.ackFactor >= 0 {
		set.AckRandomFactor.Current = dots.Some(dots.Decimal(math.Round(100 * p.ackFactor)))
	}
	switch {
	case set == dots.ConfigSet{}:
		return dots.SessionConfig{}, fmt.Errorf("%w: nothing to set", ErrUsage)
	case p.set == "both":
		return dots.SessionConfig{Mitigating: set, Idle: set}, nil
	case p.set == "mitigating":
		return dots.SessionConfig{Mitigating: set}, nil
	case p.set == "idle":
		return dots.SessionConfig{Idle: set}, nil
	}
	return dots.SessionConfig{}, fmt.Errorf("%w: --set is mitigating, idle or both", ErrUsage)
}

// configLine is one parameter of one set.
type configLine struct {
	Set       string   `json:"set"`
	Parameter string   `json:"parameter"`
	Current   *float64 `json:"current,omitempty"`
	Min       *float64 `json:"min,omitempty"`
	Max       *float64 `json:"max,omitempty"`
}

func (l configLine) text() string {
	parts := []string{fmt.Sprintf("%-10s  %-18s", l.Set, l.Parameter)}
	if l.Current != nil {
		parts = append(parts, fmt.Sprintf("%g", *l.Current))
	}
	if l.Min != nil && l.Max != nil {
		parts = append(parts, fmt.Sprintf("(%g to %g)", *l.Min, *l.Max))
	}
	return strings.Join(parts, "  ")
}

func configLines(c dots.SessionConfig) []configLine {
	var lines []configLine
	for _, s := range []struct {
		name string
		of   dots.ConfigSet
	}{{"mitigating", c.Mitigating}, {"idle", c.Idle}} {
		all := []configLine{
			configLineOf("heartbeat-interval", s.of.HeartbeatInterval, 1),
			configLineOf("missing-hb-allowed", s.of.MissingHBAllowed, 1),
			configLineOf("probing-rate", s.of.ProbingRate, 1),
			configLineOf("max-retransmit", s.of.MaxRetransmit, 1),
			configLineOf("ack-timeout", s.of.AckTimeout, 100),
			configLineOf("ack-random-factor", s.of.AckRandomFactor, 100),
		}
		for _, l := range all {
			if l.Current != nil || l.Min != nil || l.Max != nil {
				l.Set = s.name
				lines = append(lines, l)
			}
		}
	}
	return lines
}

// configLineOf is a parameter whose numbers stand for one part in scale.
func configLineOf[T uint16 | dots.Decimal](name string, b dots.Bounds[T], scale float64) configLine {
	number := func(m dots.Maybe[T]) *float64 {
		if !m.Set {
			return nil
		}
		v := float64(m.Value) / scale
		return &v
	}
	return configLine{Parameter: name, Current: number(b.Current), Min: number(b.Min), Max: number(b.Max)}
}
