package gateway

import (
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/policy"
)

// TestEfficacyOfSeveral lets the clients of a shared leg tell their efficacy all the time: the uplink is told once in shrinkGap, of all, and its answers
// are not outrun for ever.
//
// RFC 9132, Section 4.4.3: an efficacy update repeats the request and says how the attack is.
func TestEfficacyOfSeveral(t *testing.T) {
	r := newRig(t, CoreConfig{Policy: testPolicyFor(t, func(c *policy.Config) { c.Domains[0].OnOverlap = policy.OverlapMerge })})
	r.step(LinkUp{"up"})
	says := func(client string, attack dots.AttackStatus) {
		q := put(1, "192.0.2.0/28")
		q.Attack = attack
		r.step(Mitigate{r.ticket("put"), dots.Ask{Client: dots.Client{Name: client, CUID: "cuid-" + client}, Request: q, HopLimit: 9, Efficacy: attack != 0}})
	}
	for _, client := range []string{"a", "b"} {
		says(client, 0)
		r.takeAll()
	}
	r.advance(time.Minute)
	var told []dots.AttackStatus
	revision := r.newest().Revision
	r.seen = func(v Ready) {
		for _, l := range v.Wants {
			if l.Revision > revision {
				revision = l.Revision
				if l.Efficacy != l.Request.Attack.Valid() {
					t.Errorf("wanted %+v", l)
				}
				told = append(told, l.Request.Attack)
			}
		}
	}
	for i := range 60 { // for twelve seconds; after six of them a is done
		says("b", dots.AttackMitigated)
		if i < 30 {
			says("a", dots.AttackUnderAttack)
		} else {
			says("a", dots.AttackMitigated)
		}
		r.takeAll()
		r.advance(200 * time.Millisecond)
	}
	r.takeAll()
	r.advance(time.Minute)
	efficacies, last := 0, dots.AttackStatus(0)
	for _, a := range told {
		if a != 0 {
			efficacies, last = efficacies+1, a
		}
	}
	if efficacies < 4 || len(told) > 6 || last != dots.AttackMitigated || told[1] != dots.AttackUnderAttack {
		t.Errorf("told %v", told)
	}
	r.check()
}
