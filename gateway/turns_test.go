package gateway

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/policy"
)

// TestMovesInTurns loses an uplink with more mitigations than follow at a time: they move some at a time, so that no event of others has to wait for
// all of them, those that are withdrawn meanwhile do not move, and all others do.
//
// RFC 8811, Section 2.3: a client with several servers goes on at another one.
func TestMovesInTurns(t *testing.T) {
	const n = 2*maxTouched + 100
	r := newRig(t, CoreConfig{Policy: testPolicyFor(t, func(c *policy.Config) {
		c.Uplinks = []policy.Uplink{{Name: "one"}, {Name: "two"}}
		d := &c.Domains[0]
		d.Uplinks, c.Domains[1].Uplinks = []string{"one", "two"}, []string{"one"}
		d.Prefixes, d.Aliases = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, nil
		c.Defaults.MaxMitigations = n
		for i := range n/100 + 1 {
			d.Clients = append(d.Clients, policy.ClientEntry{Name: fmt.Sprint("c", i), CertNames: []string{fmt.Sprint("c", i)}})
		}
	})})
	for _, u := range []string{"one", "two"} {
		r.step(LinkUp{u})
	}
	key := func(i int) dots.MitigationKey {
		return dots.MitigationKey{Client: dots.Client{Name: fmt.Sprint("c", i/100), CUID: fmt.Sprint("cuid", i/100)}, MID: uint32(i)}
	}
	for i := range n {
		q := put(uint32(i), fmt.Sprintf("10.%d.%d.%d/32", i>>12, i>>4&255, i&15))
		q.Target.Ports = []dots.PortRange{{Lower: uint16(i), Upper: uint16(i)}} // none shares a leg
		r.step(Mitigate{r.ticket("put"), dots.Ask{Client: key(i).Client, Request: q, HopLimit: 9}})
		r.stand(r.newest())
	}
	moved, most := 0, 0
	r.seen = func(v Ready) {
		asked := 0
		for _, l := range v.Wants {
			if l.Key.Uplink == "two" && !l.Withdraw {
				asked++
			}
		}
		moved, most = moved+asked, max(most, asked)
	}
	r.step(LinkDown{Uplink: "one"})
	r.advance(linkDownAfter)
	if moved != maxTouched {
		t.Errorf("%d moved at first, want %d", moved, maxTouched)
	}
	r.step(LinkUp{"one"}) // nobody waits for it alone, and nobody loses his turn by it
	for i := range n {
		m := r.core.mits[key(i)]
		if len(m.legs) == 1 {
			r.step(Withdraw{r.ticket("delete"), m.key})
			break
		}
	}
	r.advance(time.Second)
	if moved != n-1 || most != maxTouched {
		t.Errorf("%d moved, %d at a time at most, want %d and %d", moved, most, n-1, maxTouched)
	}
	if w := r.core.turns; w.rest != nil || !w.when.IsZero() {
		t.Errorf("there is something left: %d at %v", len(w.rest), w.when)
	}
	r.check()
}

// TestLeftOver: what was not arranged when a step had all its rounds is arranged a moment later, though nothing else happens.
//
// RFC 9132, Section 4.4.1: what a client was told of as accepted is asked for.
func TestLeftOver(t *testing.T) {
	r := newRig(t, CoreConfig{})
	r.step(LinkUp{"up"})
	r.asks("a", put(1, "192.0.2.1/32"), 9)
	r.stand(r.newest())
	c := r.core
	m := c.leg(r.newest().Key).members[0]
	c.now, c.out = r.now, &Ready{}
	c.unsettle(m)
	c.settle(0)
	if got := c.Deadline(); !got.Equal(r.now.Add(roundsGap)) || c.unrest() {
		t.Fatalf("the next Tick is at %v, want %v", got, r.now.Add(roundsGap))
	}
	r.advance(roundsGap)
	if m.stale || !c.soon.when.IsZero() {
		t.Error("not arranged")
	}
	r.check()
}

// TestFlap lets two clients with overlapping targets come and go for a minute: the uplink is asked for something else at most once in shrinkGap, however
// often they do.
//
// RFC 9132, Section 4.4.1.3: a change of what is asked for is a request with a higher mid.
func TestFlap(t *testing.T) {
	for every := 200 * time.Millisecond; every < 4*time.Second; every += 700 * time.Millisecond {
		r := newRig(t, CoreConfig{Policy: testPolicyFor(t, func(c *policy.Config) { c.Domains[0].OnOverlap = policy.OverlapMerge })})
		r.step(LinkUp{"up"})
		r.asks("a", put(1, "192.0.2.0/28"), 9)
		r.takeAll()
		asked, came := 0, 0
		told := map[dots.LegKey]uint64{}
		r.seen = func(v Ready) {
			for _, l := range v.Wants {
				if !l.Withdraw && told[l.Key] < l.Revision {
					told[l.Key] = l.Revision
					asked++
				}
			}
		}
		end := r.now.Add(time.Minute)
		for mid := uint32(1); r.now.Before(end); mid++ {
			q := put(mid, "192.0.2.8/29")
			q.Target.Prefixes = append(q.Target.Prefixes, netip.MustParsePrefix("192.0.2.64/29"))
			r.asks("b", q, 9)
			came++
			r.takeAll()
			r.advance(every)
			r.takeAll()
			r.step(Withdraw{r.ticket("delete"), dots.MitigationKey{Client: dots.Client{Name: "b", CUID: "cuid-b"}, MID: mid}})
			r.advance(every)
			r.takeAll()
		}
		r.check()
		if most := int(time.Minute/shrinkGap) + 2; asked > most {
			t.Errorf("every %v: %d requests at the uplink for %d that came, want %d at most", every, asked, came, most)
		}
	}
}
