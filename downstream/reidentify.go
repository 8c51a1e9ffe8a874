package downstream

// Reidentify asks anew who every session is of, after a change of the configuration. A session whose client entry is gone is
// closed, and so is one whose credentials are no longer believed; one that is of another entry now goes on as that one's. It may wait for the core.
func (s *Server) Reidentify() {
	s.mu.RLock()
	peers := make([]*peer, 0, len(s.peers))
	for _, p := range s.peers {
		peers = append(peers, p)
	}
	s.mu.RUnlock()
	for _, p := range peers {
		before := p.client()
		if s.distrusts(p) != nil {
			continue
		}
		if _, known := s.identify(p); known || before == "" {
			continue
		}
		s.cfg.Logger.Info("client is no longer configured, closing its session", "session", p.sess.ID(), "client", before)
		s.disown(p)
	}
}

// distrusts closes a session whose credentials are no longer believed, and returns why they are not; nil: they are.
//
// RFC 9132, Section 8: only those are served who are authenticated.
func (s *Server) distrusts(p *peer) error {
	err := s.cfg.Believed(p.sess.Peer())
	if err != nil {
		s.cfg.Logger.Info("credentials of a client are no longer believed, closing its session", "session", p.sess.ID(), "client", p.client(),
			"error", err.Error())
		s.disown(p)
	}
	return err
}

// disown closes a session that its client may not have any more. That loses nobody.
func (s *Server) disown(p *peer) {
	if err := p.sess.Close(); err != nil {
		s.cfg.Logger.Debug("closing a session failed", "session", p.sess.ID(), "error", err)
	}
	s.detach(p, Disowned)
}
