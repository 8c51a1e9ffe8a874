package ctl

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
	"github.com/spf13/cobra"
)

// The pace of a watch.
const (
	// registerAgain is how long nothing may be heard of a mitigation before it is asked for anew: a notification may be
	// lost, and a server may forget its observers.
	registerAgain = time.Minute
	// askAgain is the pause before asking again where there is nothing to observe yet.
	askAgain = 5 * time.Second
	// redial and redialMost are the pauses before another session, doubling.
	redial     = time.Second
	redialMost = 30 * time.Second
)

// errSeen ends a watch that has seen what it waited for.
var errSeen = errors.New("seen")

func (t *tool) watchCommand() *cobra.Command {
	var until string
	c := &cobra.Command{
		Use:   "watch [MID]",
		Short: "Show one mitigation, or all of ours, whenever it changes",
		Long: "watch shows a line for every change until Ctrl-C, or until a mitigation has the status --until. It registers\n" +
			"again when the server is silent, and makes another session when one is lost.",
		RunE: func(c *cobra.Command, args []string) error {
			mid, err := maybeMID(args)
			if err != nil {
				return err
			}
			w := watch{t: t, mid: mid, seen: make(map[uint32]string)}
			if w.until, err = parseStatus(until); err != nil {
				return err
			}
			return w.run(c.Context())
		},
	}
	c.Flags().StringVar(&until, "until", "", "end at this `STATUS`, a word such as mitigated or terminated, or its number")
	return c
}

// parseStatus reads a status as a word or a number; empty is none.
func parseStatus(s string) (dots.Status, error) {
	if s == "" {
		return 0, nil
	}
	var words []string
	for status := dots.StatusInProgress; status.Valid(); status++ {
		if s == status.String() || s == fmt.Sprint(int(status)) {
			return status, nil
		}
		words = append(words, status.String())
	}
	return 0, fmt.Errorf("%w: status %q is none of %q", ErrUsage, s, words)
}

// watch shows changes.
type watch struct {
	t     *tool
	mid   dots.Maybe[uint32]
	until dots.Status
	seen  map[uint32]string // by mid: what was last shown
	any   bool              // an answer came: the server is known to be there
}

// run watches until ctx ends, over as many sessions as it takes.
func (w *watch) run(ctx context.Context) error {
	pause := redial
	for {
		err := w.t.open(ctx, w.session)
		switch {
		case errors.Is(err, errSeen), ctx.Err() != nil:
			return nil
		case !w.any || !errors.Is(err, ErrNoSession):
			return err
		}
		w.t.note("%v; another session in %v", err, pause)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		pause = min(2*pause, redialMost)
	}
}

// session watches over one session.
func (w *watch) session(ctx context.Context, conn *Conn) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	kept := make(chan error, 1)
	go func() { kept <- conn.Keep(ctx) }()
	err := w.observe(ctx, conn, kept)
	stop()
	return join(err, <-kept)
}

// update is one answer or notification.
type update struct {
	resp wire.Response
	err  error
}

// observe registers again and again. It returns when the watch is over, or the session.
func (w *watch) observe(ctx context.Context, conn *Conn, kept chan error) error {
	updates := make(chan update, 64)
	take := func(resp wire.Response, err error) {
		select {
		case updates <- update{resp, err}:
		default: // we are slow: the next one tells it all again
		}
	}
	for ctx.Err() == nil {
		waiting, cancel := w.t.waiting(ctx)
		o, err := conn.Observe(waiting, w.mid, take)
		cancel()
		if err != nil {
			return err
		}
		err = w.follow(conn, updates, kept, ctx.Done())
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		_ = o.Cancel(ending) // the server forgets us anyhow when the session ends
		cancel()
		if err != nil {
			return err
		}
	}
	return nil
}

// follow shows what comes until it is time to register again (nil), or there is a reason to end.
func (w *watch) follow(conn *Conn, updates <-chan update, kept chan error, done <-chan struct{}) error {
	quiet := time.NewTimer(registerAgain)
	defer quiet.Stop()
	for {
		select {
		case <-done:
			return nil
		case <-conn.Session().Done():
			return fmt.Errorf("%w: %w", ErrNoSession, conn.Session().Err())
		case err := <-kept:
			kept <- err // session takes it
			if err != nil {
				return err
			}
			return nil
		case u := <-updates:
			again, err := w.show(u)
			if err != nil {
				return err
			}
			quiet.Reset(again)
		case <-quiet.C:
			return nil
		}
	}
}

// show prints what has changed, and says when to register again.
func (w *watch) show(u update) (time.Duration, error) {
	if u.err != nil {
		return 0, u.err
	}
	known := w.any
	w.any = true
	if u.resp.Code == dots.CodeNotFound && (known || !w.mid.Set) {
		return w.none()
	}
	if err := Failure(u.resp); err != nil {
		return 0, err
	}
	present := make(map[uint32]bool)
	for _, r := range u.resp.Reports {
		present[r.MID] = true
		if err := w.report(r); err != nil {
			return 0, err
		}
	}
	for mid := range w.seen {
		if !present[mid] {
			w.t.note("mitigation %d is gone", mid)
			delete(w.seen, mid)
		}
	}
	return registerAgain, nil
}

// none takes that there is no such mitigation any more. Of all of ours there may be one later.
func (w *watch) none() (time.Duration, error) {
	if !w.mid.Set {
		if len(w.seen) > 0 {
			w.t.note("no mitigation is left")
			clear(w.seen)
		}
		return askAgain, nil
	}
	w.t.note("mitigation %d is gone", w.mid.Value)
	if w.until == 0 || w.until == dots.StatusTerminated {
		return 0, errSeen
	}
	return 0, &AnswerError{Code: dots.CodeNotFound, Text: "gone before it was " + w.until.String()}
}

// report shows a mitigation when anything but its remaining lifetime is other than before.
func (w *watch) report(r dots.Report) error {
	same := r
	same.Lifetime = 0
	key := fmt.Sprint(same)
	if w.seen[r.MID] != key {
		w.seen[r.MID] = key
		l := reportOf(time.Now(), r)
		l.clock = true
		if err := w.t.print(l); err != nil {
			return err
		}
	}
	if w.until != 0 && r.Status == w.until {
		return errSeen
	}
	return nil
}
