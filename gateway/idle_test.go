package gateway

import (
	"slices"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/policy"
)

// TestOwnCUIDsShrink starts on a store in which cuids of ours have piled up for clients of whom nothing else is left: they go, with their counters, but for
// those that could not be had again. Nothing of a client goes that is still there.
//
// RFC 9132, Section 4.4.1.1: a client's cuid stays the same; Section 4.4.1: mids of a cuid grow.
func TestOwnCUIDsShrink(t *testing.T) {
	r := newRig(t, CoreConfig{Policy: testPolicyOver(t, policy.Uplink{Name: "up", CUIDMode: policy.CUIDPerClient})})
	r.now = time.Unix(midEpoch+1000, 0)
	r.step(LinkUp{"up"})
	r.asks("a", put(1, "192.0.2.1/32"), 9)
	r.takeAll()
	placement := func(cuid string) policy.Placement {
		return policy.Placement{Uplink: "up", Scope: r.core.policy.Scope("up", policy.Grant{Client: dots.Client{Name: "b", CUID: cuid}})}
	}
	keep := func(name string, next uint32, other string) {
		p := placement(name)
		cuid := other
		if cuid == "" {
			cuid = r.core.computedCUID(p)
		}
		own := ownRecordOf(p, cuid)
		n := counter{reserved: next}
		mids := n.record(scope{"up", cuid})
		r.disk[identity{own.Kind, own.Key}], r.disk[identity{mids.Kind, mids.Key}] = own.Value, mids.Value
	}
	keep("idle", 900, "")
	keep("ahead", 1001, "")
	keep("moved", 900, "after a collision")
	before := len(r.disk)
	r.boot()
	var left []string
	for _, name := range []string{"idle", "ahead", "moved"} {
		if r.core.own[placement(name)] != "" {
			left = append(left, name)
		}
	}
	if want := []string{"ahead", "moved"}; !slices.Equal(left, want) || len(r.disk) != before-2 || len(r.core.own) != 3 || len(r.core.counters) != 3 {
		t.Errorf("left %v, %d of %d records, %d counters", left, len(r.disk), before, len(r.core.counters))
	}
}
