package downstream

import "testing"

// The newest session wins, and no other client pays for it.
func TestMaxSessionsPerClient(t *testing.T) {
	inRig(t, func(c *Config) { c.MaxSessionsPerClient = 2 }, func(r *rig) {
		other := r.connect("b.example")
		var all []*client
		for range 4 {
			all = append(all, r.connect("a.example"))
			r.wait(1)
		}
		for i, want := range []bool{false, false, true, true} {
			if got := all[i].served.Err() == nil; got != want {
				t.Errorf("session %d lives: %v", i, got)
			}
		}
		if other.served.Err() != nil {
			t.Error("another client has lost its session")
		}
		r.srv.mu.RLock()
		defer r.srv.mu.RUnlock()
		if got := len(r.srv.peers); got != 3 {
			t.Errorf("%d sessions are kept, want 3", got)
		}
	})
}

func TestNoBoundOfSessions(t *testing.T) {
	inRig(t, nil, func(r *rig) {
		first := r.connect("a.example")
		for range 100 {
			r.connect("a.example")
		}
		if first.served.Err() != nil {
			t.Error("a session was closed without a bound")
		}
	})
}
