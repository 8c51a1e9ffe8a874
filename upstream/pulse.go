package upstream

import (
	"context"
	"errors"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/carry"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/internal/liveness"
	"github.com/dotsgate/dotsgate/wire"
)

// errSilent ends a session on which nothing is heard any more.
var errSilent = errors.New("heartbeats unanswered and nothing heard")

// pulse is the heartbeat of a session, in both directions (RFC 9132, Section 4.7). It is guarded by link.mu.
type pulse struct {
	monitor *liveness.Monitor
	cfg     liveness.Config
	told    liveness.State // what the operator was told
	heard   time.Time      // newest input that the monitor was told of
	ping    bool           // the dialect has no heartbeat message: CoAP pings are its heartbeats
}

func newPulse(l *link, conn *coap.Session) *pulse {
	_, err := l.profile.EncodeRequest(wire.Request{Op: wire.PutHeartbeat})
	interval, missing := l.cfg.heartbeats(dots.ConfigSet{})
	p := &pulse{ping: err != nil, cfg: liveness.Config{
		Interval: interval, MissingAllowed: missing, Reliable: conn.Reliable(), Role: liveness.Client,
	}}
	p.heard = l.cfg.Now()
	p.monitor = liveness.New(p.heard, p.cfg, l.cfg.Rand)
	return p
}

// peer notes a heartbeat of the peer's.
func (p *pulse) peer(now time.Time, receiving bool) { p.monitor.PeerHeartbeat(now, receiving) }

// put puts other parameters in force.
func (p *pulse) put(now time.Time, interval time.Duration, missing int, mitigating bool) {
	p.cfg.Interval, p.cfg.MissingAllowed, p.cfg.Mitigating = interval, missing, mitigating
	p.monitor.SetConfig(now, p.cfg)
}

// look tells the monitor what it cannot see and asks what is to be done.
func (p *pulse) look(now, heard time.Time) liveness.Action {
	if heard.After(p.heard) {
		p.heard = heard
		p.monitor.Heard(heard)
	}
	a := p.monitor.Due(now)
	if a.SendHeartbeat {
		p.monitor.HeartbeatSent(now)
	}
	return a
}

// beat sends a heartbeat when one is due. It returns how long the loop may wait, and an error once the session is lost:
// by the monitor's rules alone, so never by missed heartbeats while a mitigation is wanted.
func (s *session) beat(ctx context.Context) (time.Duration, error) {
	l := s.link
	heard := s.conn.LastHeard()
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.cfg.Now()
	s.confer(ctx, now)
	s.apply(now)
	a := s.pulse.look(now, heard)
	s.alert(now, a)
	if a.State == liveness.Lost {
		return 0, errSilent
	}
	if a.SendHeartbeat {
		interval := s.pulse.cfg.Interval
		s.tasks.Go(func() { s.heartbeat(ctx, interval, a.PeerHBStatus) })
	}
	if a.Exhausted {
		s.probe(ctx, now)
	}
	wait := until(now, l.plan.deadline(), s.pulse.monitor.Next(), s.endsAt(), s.talk.deadline(l.plan.quiet()), s.steer(ctx, now))
	for _, held := range []time.Duration{l.plan.held, s.undoubled} {
		if held > 0 {
			wait = min(wait, held)
		}
	}
	return wait, nil
}

// over takes the suspicion back that was told of a session which has ended.
func (p *pulse) over(l *link) {
	l.mu.Lock()
	suspect := p.told == liveness.Suspect
	l.mu.Unlock()
	if suspect {
		l.cfg.Meter.Liveness(l.name, liveness.Alive)
	}
}

// alertAfter is how many heartbeats in a row go unanswered before the operator is told: one or two are lost on any path.
const alertAfter = 3

// alert tells the operator when a session comes under suspicion, is given up, and when it answers again (RFC 9132, Section 4.7). link.mu is held.
func (s *session) alert(now time.Time, a liveness.Action) {
	state := liveness.Alive
	switch {
	case a.State == liveness.Lost:
		state = liveness.Lost
	case a.Exhausted || a.Missed >= min(alertAfter, s.pulse.cfg.MissingAllowed):
		state = liveness.Suspect
	}
	if state == s.pulse.told {
		return
	}
	l := s.link
	s.pulse.told = state
	l.cfg.Meter.Liveness(l.name, state)
	switch state { // that a session is lost is told when it has ended
	case liveness.Suspect:
		l.log.Warn("uplink does not answer heartbeats", "session", s.conn.ID(), "missed", a.Missed, "silent_for", now.Sub(s.pulse.heard).Round(time.Second))
	case liveness.Alive:
		l.log.Info("uplink answers heartbeats again", "session", s.conn.ID())
	}
}

// heartbeat sends one heartbeat and waits for its answer. Any answer counts, a refusal or a reset too: the peer is there
// and hears us.
func (s *session) heartbeat(ctx context.Context, interval time.Duration, receiving bool) {
	l := s.link
	wait := interval * 9 / 10
	if !s.pulse.ping && !s.conn.Reliable() {
		wait = min(wait, l.cfg.oneSending()) // one datagram for each heartbeat
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	err := s.knock(ctx, s.conn, receiving)
	switch {
	case err == nil || errors.Is(err, coap.ErrReset):
		l.mu.Lock()
		s.pulse.monitor.HeartbeatAnswered(l.cfg.Now())
		l.mu.Unlock()
	case errors.Is(err, context.Canceled):
	default:
		l.cfg.Meter.HeartbeatMissed(l.name)
		l.log.Debug("heartbeat not answered", "err", err)
	}
	l.rouse()
}

// knock sends a heartbeat in the uplink's dialect: PUT of hb, or a CoAP ping where there is none.
func (s *session) knock(ctx context.Context, conn *coap.Session, receiving bool) error {
	if s.pulse.ping {
		return conn.Ping(ctx)
	}
	out, err := s.link.profile.EncodeRequest(wire.Request{Op: wire.PutHeartbeat, PeerHB: receiving})
	if err != nil {
		return err
	}
	_, err = conn.Do(ctx, carry.RequestMessage(out, carry.NON))
	return err
}
