package front

import "testing"

func TestStats(t *testing.T) {
	n := newMemNet()
	f := newFront(Config{Network: n})
	prove(f, n, 1, 3)
	s := f.Stats()
	if s.Addresses != 3 || s.Pending != 3 || s.MaxPending != DefaultMaxPending || s.ConnectionIDs != 0 || s.Gated || s.Unproven != 0 {
		t.Errorf("%+v", s)
	}
	if s.Starts.Fill != 1 || s.Holders.Fill != 1 || s.Starts.Size < bucketSlots || s.Holders.Size < 4*DefaultMaxPending {
		t.Errorf("the tables of prefixes: %+v and %+v", s.Starts, s.Holders)
	}
	f.gate = newGate()
	f.route(n, clientHello(0, 0, [randomSize]byte{1}, nil), udpPath(9))
	if s := f.Stats(); !s.Gated || s.Unproven != 1 || s.Pending != 4 {
		t.Errorf("a gate: %+v", s)
	}
}
