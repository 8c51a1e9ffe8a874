package downstream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/carry"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/internal/liveness"
	"github.com/dotsgate/dotsgate/wire"
)

// answerWait is how long a heartbeat over UDP waits for its answer. A later one still counts as a sign of life.
const answerWait = 5 * time.Second

// neverRepeat stands for "a heartbeat is sent once": the next one follows anyway.
const neverRepeat = 24 * time.Hour

// settling is how long a new session is left without a heartbeat of ours: it is attached before it has begun, and the
// peer's first request tells which dialect it speaks.
const settling = 5 * time.Second

// putHeartbeat answers the peer's heartbeat, at once and from here (RFC 9132, Section 4.7).
func (c *call) putHeartbeat() {
	c.peer.heartbeatHeard(c.req.PeerHB)
	c.respond(wire.Response{Code: dots.CodeChanged})
}

// heartbeatHeard notes a heartbeat of the peer and what it says of ours.
func (p *peer) heartbeatHeard(peerHB bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.monitor.PeerHeartbeat(p.srv.cfg.Now(), peerHB)
	p.schedule()
}

// interval returns the heartbeat interval in force. The lock is held.
func (p *peer) interval() time.Duration {
	return time.Duration(p.set().HeartbeatInterval.Current.Value) * time.Second
}

// liveness returns the config of the monitor. The lock is held.
func (p *peer) liveness() liveness.Config {
	return liveness.Config{
		Interval: p.interval(), MissingAllowed: int(p.set().MissingHBAllowed.Current.Value),
		Reliable: p.sess.Reliable(), Role: liveness.Server, Mitigating: p.mitigating,
	}
}

// tick does what the monitor says is due.
func (p *peer) tick(ctx context.Context, now time.Time) {
	p.mu.Lock()
	if p.down {
		p.mu.Unlock()
		return
	}
	// RFC 9132, Section 4.7: whatever is heard of the client keeps the session.
	if at := p.sess.LastHeard(); at.After(p.heard) {
		p.heard = at
		p.monitor.Heard(at)
	}
	action := p.monitor.Due(now)
	send := action.SendHeartbeat && p.srv.slot()
	if send {
		p.monitor.HeartbeatSent(now)
	}
	dialect, wait := p.dialect, p.interval()
	stale := p.staleAt()
	if action.State != liveness.Lost {
		p.schedule()
	}
	p.mu.Unlock()
	if send {
		p.srv.beats.Go(func() {
			defer p.srv.free()
			p.beat(ctx, dialect, action.PeerHBStatus, wait)
		})
	}
	switch {
	case action.State == liveness.Lost:
		p.srv.lost(p)
	case !stale.IsZero() && !stale.After(now):
		p.srv.stale(p)
	}
}

// beat sends one heartbeat and waits for its answer.
func (p *peer) beat(ctx context.Context, dialect wire.Profile, status bool, wait time.Duration) {
	if !p.sess.Reliable() {
		wait = min(wait, answerWait)
	}
	waiting, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	err := p.exchange(waiting, dialect, status)
	switch {
	case err == nil, errors.Is(err, coap.ErrReset):
		// RFC 9132, Section 4.7: the answer is 2.04. A client that has no such resource answers 4.04, or RST; that it
		// answers is what counts.
		p.mu.Lock()
		p.monitor.HeartbeatAnswered(p.srv.cfg.Now())
		p.schedule()
		p.mu.Unlock()
	case ctx.Err() != nil || p.ended():
		// there was nobody any more to miss an answer of
	default:
		p.srv.cfg.Meter.HeartbeatMissed()
		p.srv.cfg.Logger.Debug("heartbeat missed", "session", p.sess.ID(), "error", err)
	}
}

// ended reports whether the session is over for another reason than that we closed it, as we do with a lost one.
func (p *peer) ended() bool {
	err := p.sess.Err()
	return err != nil && !errors.Is(err, coap.ErrClosed)
}

// exchange sends a heartbeat in the peer's dialect and waits for whatever answers it; a dialect that has no heartbeat
// of its own has the ping of CoAP.
func (p *peer) exchange(ctx context.Context, dialect wire.Profile, status bool) error {
	r, err := dialect.EncodeRequest(wire.Request{Op: wire.PutHeartbeat, PeerHB: status})
	if err != nil {
		if err := p.sess.Ping(ctx); err != nil {
			return fmt.Errorf("pinging a client: %w", err)
		}
		return nil
	}
	if _, err := p.sess.Do(ctx, carry.RequestMessage(r, carry.NON)); err != nil {
		return fmt.Errorf("sending a heartbeat: %w", err)
	}
	return nil
}

// slot takes one of the places of heartbeats under way, if there is one.
func (s *Server) slot() bool {
	select {
	case s.slots <- struct{}{}:
		return true
	default:
		return false
	}
}

// free gives the place back.
func (s *Server) free() { <-s.slots }
