package front

import "github.com/dotsgate/dotsgate/internal/throttle"

// Stats is how a front stands at one moment.
type Stats struct {
	Addresses     int            // addresses that lead to a handshake or session
	ConnectionIDs int            // connection IDs that lead to a session
	Pending       int            // handshakes under way
	MaxPending    int            // of so many
	Unproven      int            // of them, with peers that have proven nothing: only a gate has such
	Gated         bool           // as Front.Gated
	Starts        throttle.Stats // prefixes that have begun handshakes not long ago
	Holders       throttle.Stats // prefixes that have handshakes under way
}

// Stats walks the tables: for whoever scrapes metrics, not for the hot path.
func (f *Front) Stats() Stats {
	s := Stats{
		Pending: f.pending.len(), MaxPending: f.pending.most, Gated: f.Gated(),
		Starts: f.pending.buckets.Stats(f.cfg.now()), Holders: f.pending.caps.Stats(),
	}
	s.Addresses, s.ConnectionIDs = f.table.counts()
	if f.gate != nil {
		s.Unproven = int(f.gate.unproven.Load())
	}
	return s
}
