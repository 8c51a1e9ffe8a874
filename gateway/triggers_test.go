package gateway

import (
	"testing"

	"github.com/dotsgate/dotsgate/dots"
)

// TestLostWhileArmedIsSuperseded: a client is lost while an armed request of its waits for the uplink that supersedes another armed one. Only the newer one is
// triggered: what only the older one overlaps goes on.
//
// RFC 9132, Section 4.4.1.3: of overlapping requests of one trigger type only that with the higher mid is kept.
func TestLostWhileArmedIsSuperseded(t *testing.T) {
	r := newRig(t, CoreConfig{})
	r.step(LinkUp{"up"})
	older, newer := put(1, "192.0.2.0/28"), put(3, "192.0.2.0/29")
	older.OnSignalLoss, newer.OnSignalLoss = true, true
	r.asks("a", older, 9)
	r.stand(r.newest())
	r.asks("a", put(2, "192.0.2.8/29"), 9)
	r.stand(r.newest())
	r.asks("a", newer, 9)
	r.step(ClientGone{Client: "a"})
	client := dots.Client{Name: "a", CUID: "cuid-a"}
	if m := r.core.mits[dots.MitigationKey{Client: client, MID: 2}]; m == nil || m.phase != live {
		t.Error("the immediate one was ended, though nothing that was triggered overlaps it")
	}
	if m := r.core.mits[dots.MitigationKey{Client: client, MID: 3}]; m == nil || !m.fired {
		t.Error("the newer one was not triggered")
	}
	r.check()
}
