package gateway

import (
	"net/netip"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/policy"
)

// newest is the leg with the highest mid that is wanted.
func (r *rig) newest() dots.Leg {
	var last dots.Leg
	for k, l := range r.wanted {
		if k.MID >= last.Key.MID {
			last = l
		}
	}
	return last
}

// asks asks for a request for a client.
func (r *rig) asks(client string, q dots.Request, hops uint8) {
	r.step(Mitigate{r.ticket("put"), dots.Ask{Client: dots.Client{Name: client, CUID: "cuid-" + client}, Request: q, HopLimit: hops}})
}

// stand answers a leg as it is wanted now.
func (r *rig) stand(l dots.Leg) {
	r.step(Answered{dots.LegAnswer{Key: l.Key, Revision: l.Revision, Code: dots.CodeCreated, Withdraw: l.Withdraw}})
}

// TestShorterLifetimeWithoutAnswer: while the uplink has not answered a request with a shorter lifetime, the longer one of before stands there, and
// the withdrawal is not given up when the shorter is over.
//
// RFC 9132, Section 4.4.4: a mitigation is withdrawn by a DELETE.
func TestShorterLifetimeWithoutAnswer(t *testing.T) {
	r := newRig(t, CoreConfig{})
	r.step(LinkUp{"up"})
	q := put(1, "192.0.2.1/32")
	r.asks("a", q, 9)
	r.stand(r.newest())
	q.Lifetime = dots.Some[dots.Lifetime](20)
	r.asks("a", q, 5) // a smaller Hop-Limit is told at once, and the lifetime with it
	if l := r.newest(); l.Revision != 2 || l.Request.Lifetime.Value != 20 {
		t.Fatalf("wanted %+v", l)
	}
	r.advance(5 * time.Minute)
	if l := r.newest(); !l.Withdraw {
		t.Errorf("the withdrawal was given up: %+v", l)
	}
}

// TestNewcomerOverWhatStandsStill: a leg was made smaller, which the uplink did not answer yet, and somebody asks for what was let go. That request would
// delete what stands still, with all that others want of it, so that it has that in it, too.
//
// RFC 9132, Section 4.4.1.3: the lower of two overlapping mids is deleted.
func TestNewcomerOverWhatStandsStill(t *testing.T) {
	r := newRig(t, CoreConfig{Policy: testPolicyFor(t, func(c *policy.Config) { c.Domains[0].OnOverlap = policy.OverlapMerge })})
	r.step(LinkUp{"up"})
	r.asks("a", put(1, "192.0.2.0/28"), 9)
	r.stand(r.newest())
	both := put(1, "192.0.2.0/27")
	r.asks("b", both, 9)
	r.stand(r.newest())
	r.advance(time.Minute)
	r.step(Withdraw{r.ticket("delete"), dots.MitigationKey{Client: dots.Client{Name: "b", CUID: "cuid-b"}, MID: 1}})
	r.advance(0) // the smaller leg comes after the withdrawal
	if got := targetText(r.newest().Request.Target); got != "192.0.2.0/28" {
		t.Fatalf("wanted %s", got)
	}
	r.asks("b", put(2, "192.0.2.16/28"), 9)
	if got := targetText(r.newest().Request.Target); got != "192.0.2.0/28,192.0.2.16/28" {
		t.Errorf("%s would delete what stands still of 192.0.2.0/28", got)
	}
	r.check()
}

// TestUpdateOfWhatIsToBeSuperseded: while a request waits that is to supersede another one of its client, that one is changed to something
// else, as draft04 allows: then it stays.
func TestUpdateOfWhatIsToBeSuperseded(t *testing.T) {
	r := newRig(t, CoreConfig{})
	r.step(LinkUp{"up"})
	client := dots.Client{Name: "a", CUID: "cuid-a"}
	r.asks("a", put(1, "192.0.2.0/28"), 9)
	r.stand(r.newest())
	r.asks("a", put(2, "192.0.2.0/29"), 9)
	second := r.newest()
	r.step(Mitigate{r.ticket("put"), dots.Ask{Client: client, Request: put(1, "192.0.2.64/28"), HopLimit: 9, Update: true}})
	r.stand(r.newest())
	r.stand(second)
	for mid := uint32(1); mid <= 2; mid++ {
		if m := r.core.mits[dots.MitigationKey{Client: client, MID: mid}]; m == nil || m.phase != live {
			t.Errorf("%d is gone", mid)
		}
	}
}

// TestSmallerHopLimitBesideOneForEver: the smallest Hop-Limit of a leg's members counts, whatever their lifetimes.
//
// RFC 8768, Section 3: a request that goes in a circle must not get a new Hop-Limit on the way.
func TestSmallerHopLimitBesideOneForEver(t *testing.T) {
	r := newRig(t, CoreConfig{Policy: testPolicyFor(t, func(c *policy.Config) { c.Domains[0].OnOverlap = policy.OverlapMerge })})
	r.step(LinkUp{"up"})
	for _, client := range []string{"a", "b"} { // whichever comes first
		q := put(1, "192.0.2.0/28")
		q.Lifetime = dots.Some(dots.Indefinite)
		r.asks(client, q, 9)
		r.stand(r.newest())
	}
	for i, client := range []string{"a", "b"} {
		q := put(1, "192.0.2.0/28")
		r.asks(client, q, uint8(7-i))
		if got := r.newest().HopLimit; got != uint8(7-i) {
			t.Errorf("Hop-Limit %d after %s came with %d", got, client, 7-i)
		}
		r.stand(r.newest())
		q.Lifetime = dots.Some(dots.Indefinite)
		r.asks(client, q, uint8(7-i))
		r.stand(r.newest())
	}
}

// TestNewcomerToWhatIsKeptForAWhile: what a client that left wanted is kept for a moment, also in the leg that takes the place of its leg; not for ever.
func TestNewcomerToWhatIsKeptForAWhile(t *testing.T) {
	r := newRig(t, CoreConfig{Policy: testPolicyFor(t, func(c *policy.Config) {
		c.Domains[0].OnOverlap = policy.OverlapMerge
		c.Domains[0].Clients = append(c.Domains[0].Clients, policy.ClientEntry{Name: "c", CertNames: []string{"c"}})
	})})
	r.step(LinkUp{"up"})
	r.asks("a", put(1, "192.0.2.0/28"), 9)
	r.stand(r.newest())
	r.asks("b", put(1, "192.0.2.8/29"), 9)
	r.step(Withdraw{r.ticket("delete"), dots.MitigationKey{Client: dots.Client{Name: "a", CUID: "cuid-a"}, MID: 1}})
	r.advance(0)
	q := put(1, "192.0.2.64/32")
	q.Target.Prefixes = append(q.Target.Prefixes, netip.MustParsePrefix("192.0.2.9/32"))
	r.asks("c", q, 9)
	for _, want := range []string{"192.0.2.0/28,192.0.2.64/32", "192.0.2.8/29,192.0.2.64/32"} {
		if got := targetText(r.newest().Request.Target); got != want {
			t.Errorf("wanted %s, not %s", got, want)
		}
		r.stand(r.newest())
		r.advance(10 * time.Second)
	}
}
