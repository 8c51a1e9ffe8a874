package downstream

// Reidentify asks anew who every session is of, after a change of the configuration. A session whose client entry is gone is
// closed; one that is of another entry now goes on as that one's. It may wait for the core.
func (s *Server) Reidentify() {
	s.mu.RLock()
	peers := make([]*peer, 0, len(s.peers))
	for _, p := range s.peers {
		peers = append(peers, p)
	}
	s.mu.RUnlock()
	for _, p := range peers {
		before := p.client()
		if _, known := s.identify(p); known || before == "" {
			continue
		}
		s.cfg.Logger.Info("client is no longer configured, closing its session", "session", p.sess.ID(), "client", before)
		if err := p.sess.Close(); err != nil {
			s.cfg.Logger.Debug("closing a session failed", "session", p.sess.ID(), "error", err)
		}
		s.detach(p, false)
	}
}
