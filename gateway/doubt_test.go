package gateway

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/dots"
)

// TestDoubtBounded tests that one wrong list makes no storm of requests, and that the next one goes on with the rest.
func TestDoubtBounded(t *testing.T) {
	const legs = maxDoubted + 10
	r := newRig(t, CoreConfig{})
	r.step(LinkUp{"up"})
	var cuid string
	for i := range uint32(legs) {
		ask := dots.Ask{Client: dots.Client{Name: "a", CUID: "cuid-a"}, HopLimit: 9, Request: put(i, fmt.Sprintf("192.0.2.%d/32", i))}
		r.step(Mitigate{r.ticket("put"), ask})
		for k, l := range r.wanted {
			cuid = k.CUID
			r.step(Answered{dots.LegAnswer{Key: k, Revision: l.Revision, Code: dots.CodeCreated}})
		}
	}
	r.advance(endedVisible)
	for _, want := range []int{maxDoubted, legs - maxDoubted, 0} {
		r.lines = nil
		r.step(Reported{Uplink: "up", CUID: cuid, Complete: true})
		if got := strings.Count(strings.Join(r.lines, "\n"), "want up/g1/"); got != want {
			t.Errorf("asked for %d legs, want %d", got, want)
		}
	}
	r.check()
}

// TestEqualConflicts tests that every part of a conflict counts (RFC 9132, Section 4.4.2).
func TestEqualConflicts(t *testing.T) {
	base := dots.Conflict{Status: 1, Cause: 1, RetryTimer: 30}
	changed := map[string]func(*dots.Conflict){
		"status": func(c *dots.Conflict) { c.Status = 2 },
		"cause":  func(c *dots.Conflict) { c.Cause = 2 },
		"timer":  func(c *dots.Conflict) { c.RetryTimer = 60 },
		"mid":    func(c *dots.Conflict) { c.MID = dots.Some(uint32(1)) },
		"scope":  func(c *dots.Conflict) { c.Scope.Prefixes = []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")} },
		"acls":   func(c *dots.Conflict) { c.ACLs = make([]dots.ACLRef, 1) },
	}
	for name, change := range changed {
		other := base
		change(&other)
		if equalConflicts(dots.Some(base), dots.Some(other)) {
			t.Errorf("another %s is not seen", name)
		}
	}
	none := dots.Maybe[dots.Conflict]{}
	if equalConflicts(none, dots.Some(base)) || !equalConflicts(none, none) || !equalConflicts(dots.Some(base), dots.Some(base)) {
		t.Error("presence is not seen")
	}
}

// TestMind tests how long a retry-timer holds (RFC 9132, Section 4.4.1.3).
func TestMind(t *testing.T) {
	now := time.Unix(1000, 0)
	l := &leg{placedAt: now}
	if got := l.earliestAnew(); !got.Equal(now.Add(recreateGap)) {
		t.Errorf("without a timer at %v", got)
	}
	l.mind(dots.Some(dots.Conflict{RetryTimer: 300}), now)
	l.mind(dots.Some(dots.Conflict{}), now)
	if got := l.earliestAnew(); !got.Equal(now.Add(300 * time.Second)) {
		t.Errorf("with a timer at %v", got)
	}
}
