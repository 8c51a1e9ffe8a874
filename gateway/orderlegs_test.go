package gateway

import (
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/policy"
)

// twoUplinks is a rig whose domain lab prefers up to new.
func twoUplinks(t *testing.T) *rig {
	t.Helper()
	r := newRig(t, CoreConfig{Policy: testPolicyFor(t, func(c *policy.Config) {
		c.Uplinks = []policy.Uplink{{Name: "up"}, {Name: "new"}}
		c.Domains[0].Uplinks = []string{"up", "new"}
	})})
	r.step(LinkUp{"up"})
	r.step(LinkUp{"new"})
	return r
}

// carriers lists the uplinks at which a mitigation's legs stand and are wanted.
func (r *rig) carriers(m *mitigation) string {
	var found []string
	for _, k := range m.legs {
		if l := r.core.leg(k); l != nil && l.state == placed && !r.wanted[k].Withdraw {
			found = append(found, k.Uplink)
		}
	}
	slices.Sort(found)
	return strings.Join(found, ",")
}

// at fails unless a mitigation's legs stand at these uplinks.
func (r *rig) at(m *mitigation, want string) {
	r.t.Helper()
	r.check()
	if got := r.carriers(m); got != want {
		r.t.Fatalf("%v is at %q, want %q; the last it did:\n%s", m.key, got, want, strings.Join(r.lines[max(0, len(r.lines)-30):], "\n"))
	}
}

// askedOf counts the legs that an uplink is asked for.
func (r *rig) askedOf(uplink string) int {
	n := 0
	for k, l := range r.wanted {
		if k.Uplink == uplink && !l.Withdraw {
			n++
		}
	}
	return n
}

// covered fails unless some leg of a mitigation stands at an uplink that has not been told to delete it.
func (r *rig) covered(m *mitigation) {
	r.t.Helper()
	for _, h := range r.core.legs {
		for _, l := range h.legs {
			if l.stood && !r.wanted[l.want.Key].Withdraw && l.want.Request.Target.Equal(m.asked.Target) {
				return
			}
		}
	}
	r.t.Fatalf("%v is without cover", m.key)
}

// TestDrainMoves empties an uplink: what stands there stands elsewhere before it goes, what is new is not asked of it, and what could not be
// stored moves nobody for long.
//
// RFC 8811, Section 3.2.4: mitigations go on while a server is taken out.
func TestDrainMoves(t *testing.T) {
	r := twoUplinks(t)
	m := r.accept(me, 1, "192.0.2.1/32")
	r.at(m, "up")
	r.step(Drain{Uplink: "up", On: true})
	if r.askedOf("new") != 1 {
		t.Error("the other uplink is not asked at once")
	}
	r.covered(m)
	r.takeAll()
	r.at(m, "new")
	r.at(r.accept(me, 2, "192.0.2.2/32"), "new")
	r.boot()
	r.step(LinkUp{"up"})
	r.step(LinkUp{"new"})
	r.takeAll()
	m = r.core.mits[m.key]
	r.at(m, "new")
	r.step(Drain{Uplink: "up"})
	r.takeAll()
	r.at(m, "new") // what stands stays
	r.at(r.accept(me, 3, "192.0.2.3/32"), "up")
	r.manual = true
	r.step(Drain{Uplink: "new", On: true})
	r.fail(false, false)
	r.manual = false
	r.commit()
	r.takeAll()
	r.advance(time.Minute)
	r.takeAll()
	r.covered(m)
	if len(r.core.Drained()) != 0 {
		t.Errorf("drained: %v", r.core.Drained())
	}
}

// TestRecursionMoves lets a mitigation go on: its uplink is asked besides the local mitigator, and let go again.
//
// RFC 8811, Section 3.2.3: the next domain is asked when the own capacity is exceeded.
func TestRecursionMoves(t *testing.T) {
	r := recursionRig(t, 0)
	m := r.accept(me, 1, "192.0.2.1/32")
	r.at(m, "scrub")
	r.localSays(m, dots.StatusExceeded, 1)
	if r.askedOf("up") != 1 {
		t.Error("the uplink is not asked at once")
	}
	r.takeAll()
	r.at(m, "scrub,up")
	for _, k := range m.legs { // what the uplink says of it is no reason to go on: it is not our capacity
		if k.Uplink == "up" {
			r.step(Reported{Uplink: "up", CUID: k.CUID, Reports: []dots.Report{{MID: k.MID, Status: dots.StatusExceeded, Lifetime: 600}}})
		}
	}
	r.localSays(m, dots.StatusMitigated, 1)
	r.advance(time.Minute)
	r.takeAll()
	r.at(m, "scrub")
	r.step(Recurse{Order: RecurseOrder{Client: me.Name, MID: 1, Uplink: "up"}})
	r.takeAll()
	r.at(m, "scrub,up")
	r.boot()
	r.step(LinkUp{"up"})
	r.step(LinkUp{"scrub"})
	r.takeAll()
	m = r.core.mits[m.key]
	r.at(m, "scrub,up")
	r.step(Recurse{Order: RecurseOrder{Client: me.Name, MID: 1, Off: true}})
	r.takeAll()
	r.at(m, "scrub")
}

// TestReloadMoves gives a domain another uplink while the core lives: under its own cuid there, and before the old one is let go.
//
// RFC 9132, Section 4.4.1.1: the cuid is of the credential at that uplink.
func TestReloadMoves(t *testing.T) {
	r := twoUplinks(t)
	m := r.accept(me, 1, "192.0.2.1/32")
	other := r.accept(dots.Client{Name: "b", CUID: "b"}, 1, "192.0.2.65/32")
	only := func(names ...string) Rules {
		rules := Rules{Identities: map[string][sha256.Size]byte{}, Policy: testPolicyFor(t, func(c *policy.Config) {
			c.Uplinks = nil
			for _, n := range names {
				c.Uplinks = append(c.Uplinks, policy.Uplink{Name: n})
			}
			for i := range c.Domains {
				c.Domains[i].Uplinks = names
			}
		})}
		for _, n := range names {
			rules.Identities[n] = sha256.Sum256([]byte("of " + n))
		}
		return rules
	}
	r.step(Reload{Rules: only("third", "up")})
	r.covered(m)
	r.at(m, "up")
	r.advance(linkDownAfter) // a new uplink has that long to come up; this one does not
	r.takeAll()
	r.at(r.accept(me, 2, "192.0.2.2/32"), "up")
	r.step(Reload{Rules: only("third")})
	r.step(LinkUp{"third"})
	r.takeAll()
	r.at(m, "third")
	r.at(other, "third")
	if cuid := m.legs[0].CUID; cuid != dots.EncodeCUID(sha256.Sum256([]byte("of third"))) {
		t.Errorf("cuid %q", cuid)
	}
	// The uplink is gone for good: nobody can withdraw there, and elsewhere it is asked for at once.
	r.step(Reload{Rules: only("new")})
	if r.askedOf("new") != 3 {
		t.Errorf("%d are asked for at once, want 3", r.askedOf("new"))
	}
	for k := range r.wanted {
		if k.Uplink == "third" && r.core.leg(k) != nil {
			t.Errorf("%v is wanted of an uplink that is gone", k)
		}
	}
	r.takeAll()
	r.at(m, "new")
	if _, known := r.core.links["third"]; known || r.core.up["third"] {
		t.Error("the link of an uplink that is gone is kept")
	}
	// Fits goes on as it was unless it is given anew.
	r.core.cfg.Fits = func(string, dots.Leg) bool { return true }
	r.step(Reload{Rules: only("new")})
	if r.core.cfg.Fits == nil {
		t.Error("what fits a datagram was forgotten")
	}
}

// TestOrderIsAnswered says what an operator's command ended in also where the core refuses it.
func TestOrderIsAnswered(t *testing.T) {
	r := twoUplinks(t)
	var got error
	r.seen = func(v Ready) {
		for _, p := range v.Replies {
			got = p.Err
		}
	}
	r.step(Drain{Ticket: r.ticket("drain"), Uplink: "nowhere"})
	if e := (&dots.Error{}); got == nil || errors.As(got, &e) {
		t.Errorf("%v is no operator's error", got)
	}
}
