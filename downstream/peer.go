package downstream

import (
	"sync"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/internal/liveness"
	"github.com/dotsgate/dotsgate/wire"
)

// peer is what the Server knows of one session. Safe for concurrent use.
type peer struct {
	// fixed
	srv        *Server
	sess       *coap.Session
	from       Listener
	profiles   []wire.Profile // that the session may use
	credential dots.Credential
	cuid       string // that the credential gives
	since      time.Time
	alarm      alarm                   // of the next heartbeat, or of the loss
	elsewhere  dots.Maybe[Redirection] // the session is there to be sent on: it does not count as its client's
	counted    bool                    // by its listener's Overflow
	resumed    bool                    // another process has begun it
	place      int                     // among the sessions of its client; guarded by activity's lock

	telling sync.Mutex // held while presence is told of a change; taken before mu

	mu      sync.Mutex
	entry   string       // the client entry; empty: unknown
	dialect wire.Profile // of the newest request, at first the default
	config  sessionConfig
	fresh   time.Time // since when its client may take what it was told of the configuration as fresh
	// mitigating: its client has an active mitigation.
	mitigating bool
	monitor    *liveness.Monitor
	heard      time.Time // what the monitor was told last of LastHeard
	down       bool
}

func newPeer(s *Server, sess *coap.Session, profiles []wire.Profile) *peer {
	id := sess.Peer()
	p := &peer{
		srv: s, sess: sess, profiles: profiles, dialect: profiles[0], since: s.cfg.Now(),
		credential: dots.Credential{SPKI: id.SPKI, Names: id.Names, PSKIdentity: id.PSKIdentity},
		config:     newSessionConfig(s.offer),
	}
	p.cuid, p.fresh = p.credential.CUID(), p.since
	p.heard = sess.LastHeard()
	p.monitor = liveness.New(p.since, p.liveness(), s.cfg.Random)
	p.alarm.ring = p.tick
	return p
}

// profile returns the profile that owns a path, and notes that the peer speaks it; nil where none does.
func (p *peer) profile(path []string) wire.Profile {
	for _, profile := range p.profiles {
		if profile.Owns(path) {
			p.mu.Lock()
			p.dialect = profile
			p.mu.Unlock()
			return profile
		}
	}
	return nil
}

// begin puts the configuration in force and starts watching the session.
func (p *peer) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.apply()
}

// apply puts the session parameters in force. The lock is held.
func (p *peer) apply() {
	p.sess.SetParameters(transmission(p.set()))
	p.monitor.SetConfig(p.srv.cfg.Now(), p.liveness())
	p.schedule()
}

// schedule arms the alarm as the monitor says, but never within the session's first moments. The lock is held.
func (p *peer) schedule() {
	if p.down {
		return
	}
	at, stale := p.monitor.Next(), p.staleAt()
	if first := p.since.Add(min(settling, p.interval())); !at.IsZero() && at.Before(first) {
		at = first
	}
	if at.IsZero() || !stale.IsZero() && stale.Before(at) {
		at = stale
	}
	if at.IsZero() {
		p.srv.alarms.drop(&p.alarm)
		return
	}
	p.srv.alarms.set(&p.alarm, at)
}

// set is the set of parameters in force. The lock is held.
func (p *peer) set() dots.ConfigSet { return p.config.inForce(p.mitigating) }

// end stops watching the session and returns the client entry it was of.
func (p *peer) end() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = true
	p.srv.alarms.drop(&p.alarm)
	return p.entry
}

// client returns the client entry the session is of; empty: unknown.
func (p *peer) client() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.entry
}

// become notes another client entry and returns the one before; a session that is over keeps what it was.
func (p *peer) become(entry string) (before string, down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before = p.entry
	if !p.down {
		p.entry = entry
	}
	return before, p.down
}
