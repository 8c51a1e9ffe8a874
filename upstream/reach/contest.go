package reach

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/upstream"
)

// result is how an attempt on one way has ended.
type result struct {
	way     way
	session *coap.Session
	err     error
}

// contest is what the ways to a server are tried in.
type contest struct {
	reach   *Reach
	to      upstream.Destination
	results chan result // holds as many as there are ways
	cancels map[way]context.CancelFunc
}

// failures are why all ways have failed, each the last time, in the order in which they first did.
type failures []result

// add notes a failure in the place of the way's earlier one.
func (f failures) add(r result) failures {
	if i := slices.IndexFunc(f, func(old result) bool { return old.way == r.way }); i >= 0 {
		f[i] = r
		return f
	}
	return append(f, r)
}

// Error lists them.
func (f failures) Error() string {
	texts := make([]string, len(f))
	for i, r := range f {
		texts[i] = r.err.Error()
	}
	return strings.Join(texts, "; ")
}

// Unwrap returns them.
func (f failures) Unwrap() []error {
	errs := make([]error, len(f))
	for i, r := range f {
		errs[i] = r.err
	}
	return errs
}

const (
	// firstAgain is the pause before ways that have failed are tried again, which doubles up to lastAgain.
	firstAgain = time.Second
	lastAgain  = 15 * time.Second
)

// again is when ways are tried once more that have failed while others were under way.
type again struct {
	timer *time.Timer
	pause time.Duration // before the next time
	ways  []way         // those that wait for timer
}

func newAgain() *again {
	a := &again{timer: time.NewTimer(0), pause: firstAgain}
	a.timer.Stop()
	return a
}

// add has a way tried after the pause, with those that wait already.
func (a *again) add(w way) {
	if len(a.ways) == 0 {
		a.timer.Reset(a.pause)
		a.pause = min(2*a.pause, lastAgain)
	}
	a.ways = append(a.ways, w)
}

// take returns the ways whose time has come.
func (a *again) take() []way {
	due := a.ways
	a.ways = nil
	return due
}

// run tries the ways, each a little after the one before, or when that has failed, until one leads there or ctx ends. Attempts live in life. It
// returns the session, and how many attempts are still under way: over UDP, after one over TCP has won; or such as are given up.
//
// Over TCP a way fails at once while the server is being started, over UDP only when the handshake has had its minute. So what has failed is, under
// attack, tried again while others are under way: else whoever has no UDP would wait that minute for a server that was away for a second.
//
// RFC 8305, Section 5; RFC 9132, Section 4.3.
func (c *contest) run(ctx, life context.Context, ways []way) (s *coap.Session, underway int, err error) {
	pause := delay
	if c.to.Urgent {
		pause = urgentDelay
	}
	var failed failures
	next, later := time.NewTimer(0), newAgain()
	defer next.Stop()
	defer later.timer.Stop()
	for len(ways) > 0 || underway > 0 {
		select {
		case <-ctx.Done():
			c.stop(func(way) bool { return true })
			return nil, underway, context.Cause(ctx)
		case <-next.C:
			if len(ways) > 0 {
				c.begin(life, ways[0])
				ways, underway = ways[1:], underway+1
				next.Reset(pause)
			}
		case <-later.timer.C:
			ways = append(ways, later.take()...)
			next.Reset(0)
		case r := <-c.results:
			underway--
			if r.err == nil {
				return r.session, c.keep(r.way, underway), nil
			}
			failed = failed.add(r)
			if c.to.Urgent {
				later.add(r.way)
			}
			next.Reset(0)
		}
	}
	return nil, 0, failed
}

// begin begins an attempt.
func (c *contest) begin(life context.Context, w way) {
	ctx, cancel := context.WithCancel(life)
	c.cancels[w] = cancel
	d := c.reach.cfg.UDP
	if w.tcp {
		d = c.reach.cfg.TCP
	}
	c.reach.background.Go(func() {
		defer cancel()
		s, err := d.DialTo(ctx, coap.Place{Addr: w.addr, Name: name(c.to)})
		c.results <- result{w, s, err}
	})
}

// keep ends the attempts that are not to go on after a way has led there, and returns how many results are to come.
func (c *contest) keep(winner way, underway int) int {
	c.reach.won(winner, name(c.to) != "")
	if !winner.tcp {
		c.to.Better = nil // nothing is better
	}
	c.stop(func(w way) bool { return w.tcp || c.to.Better == nil })
	return underway
}

// stop gives up some attempts.
func (c *contest) stop(which func(way) bool) {
	for w, cancel := range c.cancels {
		if which(w) {
			cancel()
		}
	}
}

// clear takes the results of attempts that were given up.
func (c *contest) clear(underway int) {
	for range underway {
		if r := <-c.results; r.session != nil { // it stood just when another did
			_ = r.session.Close()
		}
	}
}

// improve waits for a session over UDP, after one over TCP, and hands it on.
func (c *contest) improve(underway int) {
	for ; underway > 0; underway-- {
		r := <-c.results
		if r.session == nil {
			continue
		}
		if r.way.tcp || c.to.Better == nil {
			_ = r.session.Close()
			continue
		}
		c.reach.won(r.way, name(c.to) != "")
		c.stop(func(way) bool { return true })
		c.to.Better(r.session)
		c.clear(underway - 1)
		return
	}
}
