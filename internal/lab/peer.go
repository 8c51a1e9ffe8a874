package lab

import (
	"cmp"
	"context"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/carry"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/wire"
)

// peer is a session with a client.
type peer struct {
	session  *coap.Session
	identity string // by its credential
	name     string // for people

	// under the server's lock
	dialect wire.Profile // that it used last
	config  sessionConfig
}

// Attach takes a session in that was not accepted by a listener, made with SessionLimits and the server as its Handler, before its first
// request is served, and attends to it until it ends. The error is nil.
func (s *Server) Attach(session *coap.Session) error {
	id := session.Peer()
	credential := dots.Credential{SPKI: id.SPKI, Names: id.Names, PSKIdentity: id.PSKIdentity}
	p := &peer{session: session, identity: credential.CUID(), name: id.PSKIdentity, dialect: s.profiles[0]}
	if len(id.Names) > 0 {
		p.name = id.Names[0]
	}
	p.name = cmp.Or(p.name, p.identity)
	p.config = newSessionConfig(s.cfg)
	s.mu.Lock()
	s.peers[session] = p
	s.mu.Unlock()
	s.sessions.Go(func() { s.attend(p) })
	return nil
}

// attend sends heartbeats until the session is over, or lost: then what is armed is put in force.
//
// RFC 9132, Section 4.7: heartbeats go both ways.
func (s *Server) attend(p *peer) {
	defer s.detach(p)
	timer := time.NewTimer(0)
	defer timer.Stop()
	<-timer.C
	for {
		interval := s.interval(p)
		wait := interval
		if interval <= 0 {
			wait = time.Minute // until other parameters may be in force
		}
		timer.Reset(wait)
		select {
		case <-p.session.Done():
			return
		case <-timer.C:
		}
		switch {
		case interval <= 0:
		case time.Since(p.session.LastHeard()) >= interval*time.Duration(s.cfg.MissingAllowed):
			s.lost(p)
			return
		default:
			s.beat(p, interval)
		}
	}
}

// interval returns the heartbeat interval of a session.
func (s *Server) interval(p *peer) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return p.config.heartbeat
}

// beat sends one heartbeat, once, and does not wait longer than till the next. Whether it is answered does not matter: what is
// heard of the client does (RFC 9132, Section 4.7).
func (s *Server) beat(p *peer, interval time.Duration) {
	s.mu.Lock()
	dialect := p.dialect
	silent := s.cfg.Scenario.silent(time.Since(s.started))
	s.mu.Unlock()
	if silent {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), min(interval, 2*time.Second))
	defer cancel()
	r, err := dialect.EncodeRequest(wire.Request{Op: wire.PutHeartbeat, PeerHB: true})
	if err != nil {
		_ = p.session.Ping(ctx) // a dialect without heartbeats of its own
		return
	}
	_, _ = p.session.Do(ctx, carry.RequestMessage(r, carry.NON))
}

// lost ends a session that is silent.
func (s *Server) lost(p *peer) {
	_ = p.session.Close() // nobody listens any more
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, other := range s.peers {
		if other != p && other.identity == p.identity {
			return // the client has another session
		}
	}
	s.changed(s.book.lost(time.Now(), p.identity)...)
	s.rouse()
}

func (s *Server) detach(p *peer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.peers, p.session)
}
