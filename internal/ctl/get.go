package ctl

import (
	"context"
	"fmt"
	"math"
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
	key := t.stateKey(conn.CUID())
	if t.state != "" {
		mid, known, err := nextInState(t.state, key)
		if err != nil || known {
			return mid, err
		}
	}
	held, err := t.held(ctx, conn)
	if err != nil {
		return 0, err
	}
	var mid uint32
	if t.state == "" {
		mid, err = midAfter(0, held)
	} else {
		mid, err = takeInState(t.state, key, held)
	}
	if err == nil && mid >= dots.MIDRollover {
		t.note("mid %d is past %d: the mids end at %d, and begin again at 1 once no mitigation is held",
			mid, dots.MIDRollover, uint32(math.MaxUint32))
	}
	return mid, err
}

// held asks the server for our mitigations.
func (t *tool) held(ctx context.Context, conn *Conn) ([]dots.Report, error) {
	ctx, cancel := t.waiting(ctx)
	defer cancel()
	resp, err := conn.Get(ctx, dots.Maybe[uint32]{})
	if err != nil || resp.Code == dots.CodeNotFound {
		return nil, err
	}
	return resp.Reports, Failure(resp)
}

// midAfter returns the mid after the largest one that is known, 0 for none, and after those that are held.
//
// RFC 9132, Section 4.4.1.1: from three quarters of all mids on they begin again, when there is nothing they could be mistaken for.
func midAfter(largest uint32, held []dots.Report) (uint32, error) {
	for _, r := range held {
		largest = max(largest, r.MID)
	}
	switch {
	case largest >= dots.MIDRollover-1 && len(held) == 0:
		return 1, nil
	case largest == math.MaxUint32:
		return 0, fmt.Errorf("no mid is left after %d while mitigations are held (%d): withdraw them, and they begin again at 1", largest, len(held))
	}
	return largest + 1, nil
}

// used notes in the state file that a mid is taken.
func (t *tool) used(cuid string, mid uint32) error {
	if t.state == "" {
		return nil
	}
	return noteInState(t.state, t.stateKey(cuid), mid)
}

func (t *tool) stateKey(cuid string) string { return t.cfg.Server + " " + cuid }
