package upstream

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/dotsgate/dotsgate/internal/coap"
)

// errReplaced ends a session in whose place a new one was made.
var errReplaced = errors.New("replaced by a new session")

// session works a link's plan off over one CoAP session.
type session struct {
	link  *link
	conn  *coap.Session
	pulse *pulse
	work  context.Context // of run; it spans calls, so it stands here
	tasks sync.WaitGroup  // everything that run has started
	spare chan made       // capacity 1: a session to go on with
	fresh chan struct{}   // capacity 1: notices hold something

	// under link.mu
	talk      talk
	turns     map[uint64]*turn             // by job in flight
	line      []*turn                      // the same in the order in which their time ends; those that are over are passed over
	notices   map[string]*coap.Message     // newest notification by cuid, not taken yet
	watches   map[string]*coap.Observation // by cuid
	probing   bool                         // a session to go on with is being made, or is there
	probes    int                          // how many were tried
	beside    *companion                   // nil: none
	undoubled time.Duration                // how long its pace holds up what is to go out on it; 0: nothing is held up
	errands   *errands                     // nil: none are under way
	counted   LegCounts                    // told to the meter
}

func newSession(l *link, conn *coap.Session) *session {
	l.tune(conn)
	return &session{
		link: l, conn: conn, pulse: newPulse(l, conn),
		spare: make(chan made, 1), fresh: make(chan struct{}, 1),
		turns: map[uint64]*turn{}, notices: map[string]*coap.Message{}, watches: map[string]*coap.Observation{},
	}
}

// run works until ctx or the session ends, or another session is there to go on with, which it returns. It closes the
// session and waits for everything it has started.
func (s *session) run(ctx context.Context) (next made, reason error) {
	work, stop := context.WithCancel(ctx)
	s.work = work
	s.tasks.Go(func() { s.report(work) })
	next, reason = s.loop(work)
	stop()
	_ = s.conn.Close() // that it is over is all there is to it
	s.tasks.Wait()
	s.endAll()
	s.pulse.over(s.link)
	select {
	case late := <-s.spare: // made just when the session ended
		if next.conn == nil && ctx.Err() == nil {
			return late, reason
		}
		_ = late.conn.Close()
	default:
	}
	return next, reason
}

// loop starts what is due and waits for the next reason to look.
func (s *session) loop(ctx context.Context) (made, error) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		s.expire()
		s.start(ctx)
		wait, lost := s.beat(ctx)
		if lost != nil {
			return made{}, lost
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			return made{}, ctx.Err()
		case <-s.conn.Done():
			return made{}, s.conn.Err()
		case next := <-s.spare:
			if next.conn.Err() == nil {
				return next, errReplaced
			}
			s.link.missed(next.at) // it has ended meanwhile
			s.probed()
		case next := <-s.link.late:
			if !s.conn.Reliable() {
				_ = next.conn.Close() // this one is as good
			} else if s.link.fits(next) {
				return next, errReplaced
			}
		case <-s.link.wake:
		case <-timer.C:
		}
	}
}

// start begins every job that may begin now.
func (s *session) start(ctx context.Context) {
	l := s.link
	var begun []*turn
	l.mu.Lock()
	now, pace := l.cfg.Now(), s.pace()
	for {
		j, ok := l.plan.next(now, &pace)
		if !ok {
			break
		}
		begun = append(begun, s.begin(j, now.Add(l.cfg.turn())))
	}
	s.unwatch(ctx)
	counts := l.plan.counts
	changed := counts != s.counted
	s.counted = counts
	l.mu.Unlock()
	if changed {
		l.cfg.Meter.Legs(l.name, counts)
	}
	if len(begun) > 0 {
		s.conn.Together(func() {
			for _, t := range begun {
				s.ask(ctx, t)
			}
		})
	}
	s.double()
}

// pace is how much may be sent at this moment.
func (s *session) pace() coap.Pace {
	if s.link.cfg.Unpaced {
		return coap.Pace{}
	}
	return s.conn.Pace()
}

// until is how long to wait for the earlier of two times; zero times are never.
func until(now time.Time, times ...time.Time) time.Duration {
	wait := time.Hour
	for _, t := range times {
		if !t.IsZero() {
			wait = min(wait, max(t.Sub(now), 0))
		}
	}
	return wait
}
