package downstream

// makeRoom closes the oldest session of a client entry when it has more than it may. The newest one wins: a client that came back after a
// loss has sessions that it does not know of any more, and who refused it would lock it out until those are found dead. Sessions that
// are sent on at their first request do not count.
func (s *Server) makeRoom(newest *peer, entry string) {
	most := s.cfg.MaxSessionsPerClient
	if most <= 0 || entry == "" || newest.elsewhere.Set || s.presence.count(entry) <= most {
		return
	}
	oldest := s.oldest(entry, newest)
	if oldest == nil {
		return
	}
	s.cfg.Logger.Warn("client has too many sessions, closing its oldest", "client", entry, "session", oldest.sess.ID(), "most", most)
	if err := oldest.sess.Close(); err != nil {
		s.cfg.Logger.Debug("closing a session failed", "session", oldest.sess.ID(), "error", err)
	}
	s.detach(oldest, Closed)
}

// oldest is the session of a client entry that began first, but for one. It looks at all sessions: it is called for a client at its bound
// only.
func (s *Server) oldest(entry string, but *peer) (oldest *peer) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, p := range s.peers {
		if p == but || p.elsewhere.Set || p.client() != entry {
			continue
		}
		if oldest == nil || p.since.Before(oldest.since) {
			oldest = p
		}
	}
	return oldest
}
