package downstream

import (
	"cmp"
	"slices"
	"time"
)

// SessionInfo is what an operator is told of a session.
type SessionInfo struct {
	ID                uint64
	Client            string // the client entry; empty: unknown
	Peer              string // transport address
	Reliable          bool   // over TCP
	Profile           string // of the newest request
	Since, LastHeard  time.Time
	HeartbeatInterval time.Duration // 0: heartbeats are off
	SID               uint64        // of the negotiated configuration; 0 where Negotiated is false
	Negotiated        bool
}

// Sessions returns the sessions attached, by age, the oldest first. One that has just ended may still be in.
func (s *Server) Sessions() []SessionInfo {
	s.mu.RLock()
	peers := make([]*peer, 0, len(s.peers))
	for _, p := range s.peers {
		peers = append(peers, p)
	}
	s.mu.RUnlock()
	infos := make([]SessionInfo, len(peers))
	for i, p := range peers {
		infos[i] = p.info()
	}
	slices.SortFunc(infos, func(a, b SessionInfo) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.ID, b.ID))
	})
	return infos
}

func (p *peer) info() SessionInfo {
	p.mu.Lock()
	defer p.mu.Unlock()
	return SessionInfo{
		ID: p.sess.ID(), Client: p.entry, Peer: p.sess.RemoteAddr().String(), Reliable: p.sess.Reliable(),
		Profile: p.dialect.Name(), Since: p.since, LastHeard: p.sess.LastHeard(),
		HeartbeatInterval: p.interval(), SID: p.config.sid.Value, Negotiated: p.config.sid.Set,
	}
}
