package ctl

import (
	"context"
	"errors"
	"fmt"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
	"github.com/spf13/cobra"
)

func (t *tool) mitigateCommand() *cobra.Command {
	var w wanted
	c := &cobra.Command{
		Use:     "mitigate",
		Short:   "Ask for a mitigation, or refresh one",
		Example: "  dotsctl mitigate --server gate.example:4646 --cert me.pem --key me.key --ca ca.pem --prefix 192.0.2.0/24 --lifetime 3600",
		Args:    noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			return t.mitigate(c.Context(), w)
		},
	}
	w.flags(c)
	return c
}

func noArguments(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%w: unexpected %q", ErrUsage, args[0])
	}
	return nil
}

func (t *tool) mitigate(ctx context.Context, w wanted) error {
	ask, err := w.request()
	if err != nil {
		return err
	}
	if w.mid != "" {
		if ask.MID, err = parseMID(w.mid); err != nil {
			return err
		}
	}
	return t.open(ctx, func(ctx context.Context, conn *Conn) error {
		return t.ask(ctx, conn, ask, w)
	})
}

// ask makes the request on a session, and holds the session where that is wanted.
func (t *tool) ask(ctx context.Context, conn *Conn, ask dots.Request, w wanted) error {
	if w.mid == "" {
		mid, err := t.nextMID(ctx, conn)
		if err != nil {
			return err
		}
		ask.MID = mid
	} else if err := t.used(conn.CUID(), ask.MID); err != nil {
		return err
	}
	waiting, cancel := t.waiting(ctx)
	defer cancel()
	resp, err := conn.Mitigate(waiting, ask)
	if err != nil {
		return err
	}
	if err := t.printAnswer(resp, dots.Some(ask.MID)); err != nil {
		return err
	}
	if !w.stay {
		return nil
	}
	return t.stay(ctx, conn, ask)
}

// stay holds the session until ctx ends.
func (t *tool) stay(ctx context.Context, conn *Conn, ask dots.Request) error {
	t.note("holding the session; Ctrl-C ends it")
	if err := conn.Keep(ctx); err != nil {
		return err
	}
	if ask.OnSignalLoss {
		t.note("closing the session: mitigation %d starts once the server counts this client as lost; "+
			"a session of this client before then keeps it waiting, 'dotsctl withdraw %d' ends it", ask.MID, ask.MID)
		return nil
	}
	t.note("closing the session: mitigation %d stays until its lifetime is over or 'dotsctl withdraw %d'", ask.MID, ask.MID)
	return nil
}

func (t *tool) withdrawCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "withdraw MID",
		Short: "End a mitigation",
		RunE: func(c *cobra.Command, args []string) error {
			mid, err := oneMID(args)
			if err != nil {
				return err
			}
			return t.open(c.Context(), func(ctx context.Context, conn *Conn) error {
				ctx, cancel := t.waiting(ctx)
				defer cancel()
				resp, err := conn.Withdraw(ctx, mid)
				if err != nil {
					return err
				}
				return t.printAnswer(resp, dots.Some(mid))
			})
		},
	}
}

func (t *tool) efficacyCommand() *cobra.Command {
	var attack string
	c := &cobra.Command{
		Use:   "efficacy MID",
		Short: "Tell the server how well a mitigation works",
		RunE: func(c *cobra.Command, args []string) error {
			mid, err := oneMID(args)
			if err != nil {
				return err
			}
			status := dots.AttackUnderAttack
			switch attack {
			case "under-attack":
			case "mitigated":
				status = dots.AttackMitigated
			default:
				return fmt.Errorf("%w: --attack-status is under-attack or mitigated", ErrUsage)
			}
			return t.open(c.Context(), func(ctx context.Context, conn *Conn) error {
				return t.efficacy(ctx, conn, mid, status)
			})
		},
	}
	c.Flags().StringVar(&attack, "attack-status", "", "under-attack or mitigated")
	return c
}

// efficacy sends an efficacy update. What else a mitigation consists of is asked of the server first.
//
// RFC 9132, Section 4.4.3: all parameters but attack-status and lifetime are those of the request.
func (t *tool) efficacy(ctx context.Context, conn *Conn, mid uint32, status dots.AttackStatus) error {
	ctx, cancel := t.waiting(ctx)
	defer cancel()
	resp, err := conn.Get(ctx, dots.Some(mid))
	if err != nil {
		return err
	}
	if !resp.Code.Success() {
		return t.printAnswer(resp, dots.Some(mid))
	}
	known, ok := find(resp, mid)
	if !ok {
		return &AnswerError{Code: resp.Code, Text: "the answer does not hold the mitigation"}
	}
	if over(known.Status) {
		return fmt.Errorf("%w: nothing to tell of mitigation %d, which is %v", ErrOver, mid, known.Status)
	}
	resp, err = conn.Efficacy(ctx, dots.Request{
		MID: mid, Target: known.Target, Lifetime: dots.Some(known.Lifetime), OnSignalLoss: known.OnSignalLoss, Attack: status,
		Source: known.Source,
	})
	if errors.Is(err, ErrNoSession) && ctx.Err() != nil {
		// RFC 9132, Section 4.4.3: an update that matches nothing is not answered.
		return fmt.Errorf("%w; a server does not answer what matches none of its mitigations", err)
	}
	if err != nil {
		return err
	}
	return t.printAnswer(resp, dots.Some(mid))
}

// over tells whether a mitigation of that status is none any more. RFC 9132, Section 4.4.3: efficacy updates belong to a
// mitigation in progress, and what matches none is not answered, so that waiting would be in vain.
func over(s dots.Status) bool {
	return s == dots.StatusClientWithdrawn || s == dots.StatusTerminated || s == dots.StatusWithdrawn
}

func find(resp wire.Response, mid uint32) (dots.Report, bool) {
	for _, r := range resp.Reports {
		if r.MID == mid {
			return r, true
		}
	}
	return dots.Report{}, false
}
