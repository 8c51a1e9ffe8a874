package upstream

import (
	"context"
	"net/netip"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/wire"
)

// arrived notes that a session is served: we are where it was made to. Until then it may still be given up for another one. l.mu is held.
func (l *link) arrived(m made) {
	other := l.course.reached(l.cfg.Now(), m.at, hostOf(m.conn))
	switch {
	case other && m.at.away():
		l.log.Info("uplink has sent us to another server", "server", m.at.alternate.Server, "until", untilText(m.at.until))
	case other:
		l.log.Info("back at the configured server of the uplink")
	}
}

// missed notes that no session can be made to a server.
func (l *link) missed(to stay) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if to.away() {
		l.log.Warn("the server that the uplink sends us to cannot be reached", "server", to.alternate.Server)
	}
	now := l.cfg.Now()
	l.course.missed(now, to, l.session != nil, now.Add(l.cfg.Backoff.Max))
}

// untilText is when a redirect ends, as it is logged.
func untilText(t time.Time) string {
	if t.IsZero() {
		return "further notice"
	}
	return t.UTC().Format(time.RFC3339)
}

// hostOf is the address of a session's peer; zero: it has none.
func hostOf(s *coap.Session) netip.Addr {
	if a, ok := s.RemoteAddr().(interface{ AddrPort() netip.AddrPort }); ok {
		return a.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

// steer makes a session beside this one when that is at the wrong server, or over TCP for long enough. It returns when it is to look
// again; zero: when something happens. link.mu is held.
func (s *session) steer(ctx context.Context, now time.Time) time.Time {
	l := s.link
	active := l.plan.active > 0
	switch {
	case s.probing:
		return time.Time{}
	case l.course.due(now, active):
		s.makeSpare(ctx, l.attempt, func(error) {}) // missed tells
		return time.Time{}
	}
	at := l.course.deadline(active)
	udp := s.udpAt()
	if udp.IsZero() {
		return at
	}
	if !now.Before(udp) {
		s.makeSpare(ctx, l.attemptUDP, func(err error) { l.log.Debug("uplink does not answer over UDP", "err", err) })
		return time.Time{}
	}
	if at.IsZero() || udp.Before(at) {
		return udp
	}
	return at
}

// udpAt is when UDP is to be tried from a session over TCP; zero: never. link.mu is held.
//
// RFC 9132, Section 4.3: it should not be tried more often than once in 24 h, and must not be more often than once in 5 min.
func (s *session) udpAt() time.Time {
	if l := s.link; l.toUDP > 0 && s.conn.Reliable() {
		return l.udpTried.Add(l.toUDP)
	}
	return time.Time{}
}

// attemptUDP dials the server that we are at, over UDP alone.
func (l *link) attemptUDP(ctx context.Context) (made, error) {
	l.mu.Lock()
	at := l.course.at
	to := Destination{Urgent: l.plan.active > 0, Alternate: at.alternate, OverUDP: true}
	l.udpTried = l.cfg.Now()
	l.tried = l.udpTried
	l.mu.Unlock()
	conn, err := l.make(ctx, to)
	return made{conn, at}, err
}

// makeSpare makes a session to go on with; this one stays in use until then. link.mu is held.
func (s *session) makeSpare(ctx context.Context, attempt func(context.Context) (made, error), failed func(error)) {
	s.probing = true
	s.tasks.Go(func() {
		next, err := attempt(ctx)
		if err != nil {
			failed(err)
			s.probed()
			return
		}
		s.spare <- next
	})
}

// probed allows another session to go on with. It is called when the one that was being made is none to go on with: while one waits in spare, none is made.
func (s *session) probed() {
	s.link.mu.Lock()
	s.probing = false
	s.link.mu.Unlock()
	s.link.rouse()
}

// redirects reports whether an answer is a redirect that is followed: the request is then asked again, there.
func (s *session) redirects(t *turn, answer *wire.Response) bool {
	if answer.Code.Success() || t.sent {
		return false
	}
	r := plain(*answer)
	if !redirected(r) {
		return false
	}
	if s.runErrand(t, r) {
		return true
	}
	switch s.link.redirect(r, !t.job.register) {
	case bearingErrand:
		s.beginErrand(t, r.Redirect.Value)
	case bearingSame, bearingFollow:
		s.link.note(func(p *plan, now time.Time) {
			if s.end(t) {
				p.failed(now, t.job) // asked again where we come to, or here if we do not
			}
		})
		t.drop(s)
	default:
		return false
	}
	return true
}

// redirect takes a redirect (RFC 9132, Section 4.6) and tells of it. One that holds for a request alone is lost where there is none that could be
// asked elsewhere.
func (l *link) redirect(r wire.Response, request bool) bearing {
	to := r.Redirect.Value
	if !l.follows || !request && r.MaxAge == dots.Some[uint32](0) {
		return bearingLost
	}
	l.mu.Lock()
	now := l.cfg.Now()
	b := l.course.told(now, to, r.MaxAge)
	loud := b == bearingLoop && (l.looped.IsZero() || now.Sub(l.looped) >= redirectAgain)
	if loud {
		l.looped = now
	}
	l.mu.Unlock()
	switch b {
	case bearingLoop:
		if loud {
			l.log.Error("uplink sends us round in circles, not following", "server", clip(to.Server))
		}
		l.cfg.Meter.Redirected(l.name, false)
	case bearingFollow, bearingErrand:
		l.log.Warn("uplink sends us to another server", "server", clip(to.Server), "records", len(to.Records), "max_age", r.MaxAge.Or(defaultRedirect))
		l.cfg.Meter.Redirected(l.name, true)
		l.rouse()
	}
	return b
}

// better takes a session over UDP after one over TCP that was dialled with it. It does not block.
func (l *link) better(m made) {
	l.mu.Lock()
	wanted := !l.over && len(l.late) == 0
	if wanted {
		l.late <- m // there is room: nobody else sends
	}
	l.mu.Unlock()
	if !wanted {
		_ = m.conn.Close()
	}
}

// fits reports whether a session that came late is one to go on with; else it is closed: it has ended meanwhile, or we were sent elsewhere.
func (l *link) fits(m made) bool {
	l.mu.Lock()
	elsewhere := !sameStay(m.at, l.course.at)
	l.mu.Unlock()
	if elsewhere || m.conn.Err() != nil {
		_ = m.conn.Close()
		return false
	}
	return true
}

// endLate closes a session that came too late.
func (l *link) endLate() {
	l.mu.Lock()
	l.over = true
	l.mu.Unlock()
	select {
	case m := <-l.late:
		_ = m.conn.Close()
	default:
	}
}
