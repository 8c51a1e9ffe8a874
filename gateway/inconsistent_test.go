package gateway

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/policy"
)

// TestInconsistentRecords starts on a store of which records are missing, or name each other as none of ours would: nothing falls over or goes round for
// ever, what is asked for is answered, and when all is withdrawn nothing is left.
//
// RFC 8811, Section 3.1: mitigations outlive sessions, and a restart of the server's.
func TestInconsistentRecords(t *testing.T) {
	for seed := range uint64(150) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { playInconsistent(t, rand.New(rand.NewPCG(seed, 1))) })
	}
}

func playInconsistent(t *testing.T, draw *rand.Rand) {
	r := newRig(t, CoreConfig{Policy: testPolicyFor(t, func(c *policy.Config) {
		c.Uplinks = append(c.Uplinks, policy.Uplink{Name: "one", CUIDMode: policy.CUIDPerClient})
		d := &c.Domains[0]
		d.OnOverlap, d.Uplinks, d.Strategy = policy.OverlapMerge, []string{"up", "one"}, policy.StrategyAll
	})})
	r.step(LinkUp{"up"})
	r.step(LinkUp{"one"})
	for i := range 12 {
		q := put(uint32(i), fmt.Sprintf("192.0.2.%d/%d", draw.IntN(32)*8, 29+draw.IntN(4)))
		q.Target.Prefixes[0] = q.Target.Prefixes[0].Masked()
		q.OnSignalLoss = i%5 == 4
		r.asks([]string{"a", "b"}[draw.IntN(2)], q, 9)
		if draw.IntN(3) > 0 {
			r.takeAll()
		}
	}
	for _, id := range slices.SortedFunc(maps.Keys(r.disk), func(a, b identity) int { return strings.Compare(string(a.kind)+a.key, string(b.kind)+b.key) }) {
		switch {
		case draw.IntN(8) == 0:
			delete(r.disk, id)
		case id.kind == kindLeg && draw.IntN(3) == 0:
			r.disk[id] = confuse(t, draw, r, r.disk[id])
		}
	}
	r.damaged = true
	r.boot()
	for _, u := range []string{"up", "one"} {
		r.step(LinkUp{u})
	}
	for range 4 {
		r.takeAll()
		r.advance(time.Minute)
	}
	r.asks("a", put(100, "192.0.2.0/24"), 9)
	r.takeAll()
	for range 4 {
		for _, k := range slices.SortedFunc(maps.Keys(r.core.mits), compareKeys) {
			r.step(Withdraw{r.ticket("delete"), k})
		}
		r.takeAll()
		r.advance(10 * time.Minute)
	}
	r.advance(25 * time.Hour)
	if len(r.core.mits)+r.core.legCount+len(r.core.replacedBy)+len(r.core.blocks) > 0 {
		t.Errorf("left: %v, %d legs, %v, %v", r.core.mits, r.core.legCount, r.core.replacedBy, r.core.blocks)
		for _, l := range r.core.sortedLegs() {
			t.Logf("%+v", r.core.legInfo(l))
		}
	}
}

// confuse makes a leg's record name others at random.
func confuse(t *testing.T, draw *rand.Rand, r *rig, value []byte) []byte {
	t.Helper()
	var keys []dots.LegKey
	for id := range r.disk {
		if k, err := parseLegKey(id.key); id.kind == kindLeg && err == nil {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, compareLegs)
	one := func() dots.LegKey { return keys[draw.IntN(len(keys))] }
	v := decodeLeg(t, value)
	switch draw.IntN(4) {
	case 0:
		v.Replaces = append(v.Replaces, one(), one())
	case 1:
		v.After = one()
	case 2:
		v.Members = nil
	case 3:
		v.Members = append(v.Members, dots.MitigationKey{Client: dots.Client{Name: "nobody", CUID: "x"}, MID: 1})
	}
	return encode(v)
}

func decodeLeg(t *testing.T, value []byte) legRecord {
	t.Helper()
	var v legRecord
	if err := json.Unmarshal(value, &v); err != nil {
		t.Fatal(err)
	}
	return v
}
