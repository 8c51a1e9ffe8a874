package ctl

import (
	"context"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/spf13/cobra"
)

func (t *tool) getCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "get [MID]",
		Short: "Show one mitigation, or all of ours",
		RunE: func(c *cobra.Command, args []string) error {
			mid, err := maybeMID(args)
			if err != nil {
				return err
			}
			return t.open(c.Context(), func(ctx context.Context, conn *Conn) error {
				ctx, cancel := t.waiting(ctx)
				defer cancel()
				resp, err := conn.Get(ctx, mid)
				if err != nil {
					return err
				}
				if !resp.Code.Success() {
					return t.printAnswer(resp, mid)
				}
				for _, r := range resp.Reports {
					if err := t.printReport(time.Now(), r); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
}

func (t *tool) pingCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "ping",
		Short: "See whether the server is there",
		Args:  noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			begin := time.Now()
			return t.open(c.Context(), func(ctx context.Context, conn *Conn) error {
				ctx, cancel := t.waiting(ctx)
				defer cancel()
				opened := time.Now()
				if err := conn.Ping(ctx); err != nil {
					return err
				}
				return t.print(pingLine{
					Transport: transportOf(conn), Handshake: opened.Sub(begin).Seconds(), RoundTrip: time.Since(opened).Seconds(),
				})
			})
		},
	}
}

func transportOf(conn *Conn) string {
	if conn.Session().Reliable() {
		return TransportTLS
	}
	return TransportDTLS
}

// nextMID chooses the mid of a new mitigation: one more than the largest that the state file or else the server knows.
//
// RFC 9132, Section 4.4.1.1: mids increase.
func (t *tool) nextMID(ctx context.Context, conn *Conn) (uint32, error) {
	if t.state != "" {
		mid, known, err := nextInState(t.state, t.stateKey(conn.CUID()))
		if err != nil || known {
			return mid, err
		}
	}
	ctx, cancel := t.waiting(ctx)
	defer cancel()
	resp, err := conn.Get(ctx, dots.Maybe[uint32]{})
	if err != nil {
		return 0, err
	}
	next := uint32(1)
	if resp.Code != dots.CodeNotFound {
		if err := Failure(resp); err != nil {
			return 0, err
		}
		for _, r := range resp.Reports {
			next = max(next, r.MID+1)
		}
	}
	return next, t.used(conn.CUID(), next)
}

// used notes in the state file that a mid is taken.
func (t *tool) used(cuid string, mid uint32) error {
	if t.state == "" {
		return nil
	}
	return noteInState(t.state, t.stateKey(cuid), mid)
}

func (t *tool) stateKey(cuid string) string { return t.cfg.Server + " " + cuid }
