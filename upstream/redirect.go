package upstream

import (
	"net/netip"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/wire"
)

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
