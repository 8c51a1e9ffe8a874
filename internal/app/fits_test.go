package app

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/config"
	"github.com/dotsgate/dotsgate/upstream"
)

// legOf is a leg for so many prefixes.
func legOf(uplink string, prefixes int) dots.Leg {
	l := dots.Leg{Key: dots.LegKey{Uplink: uplink, CUID: "mydefaultcuid-22-chars", MID: 1 << 30}, HopLimit: 16}
	l.Request = dots.Request{MID: l.Key.MID, Lifetime: dots.Some(dots.Lifetime(3600))}
	for i := range prefixes {
		p := netip.MustParsePrefix(fmt.Sprintf("2001:db8:%x:%x::1/128", i/256, i%256))
		l.Request.Target.Prefixes = append(l.Request.Target.Prefixes, p)
	}
	return l
}

// TestFits: RFC 9132, Section 4.4.1: over UDP a request has one datagram. Over TCP, and to a mitigator of our own, nothing is too large.
func TestFits(t *testing.T) {
	fits := fits([]config.Uplink{
		{Name: "udp", Transport: config.TransportDTLS, Profile: config.ProfileRFC9132},
		{Name: "tcp", Transport: config.TransportTLS, Profile: config.ProfileRFC9132},
		{Name: "old", Transport: config.TransportDTLS, Profile: config.ProfileDraft04},
		{Name: "narrow", Transport: config.TransportDTLS, Profile: config.ProfileRFC9132, PathMTU: 576},
		{Name: "wide", Transport: config.TransportDTLS, Profile: config.ProfileRFC9132, PathMTU: 1500},
	})
	for _, tt := range []struct {
		uplink   string
		prefixes int
		want     bool
	}{
		{"udp", 1, true},
		{"udp", 40, true},
		{"udp", 100, false},
		{"narrow", 15, true},
		{"narrow", 40, false},
		{"wide", 60, true},
		{"old", 1, true},
		{"old", 100, false},
		{"tcp", 100, true},
		{"scrubber", 1000, true},
	} {
		if got := fits(tt.uplink, legOf(tt.uplink, tt.prefixes)); got != tt.want {
			t.Errorf("%d prefixes fit at %s: %v", tt.prefixes, tt.uplink, got)
		}
	}
	// It is measured with the limit that sessions to uplinks have, which follows from the same setting.
	if most := upstream.SessionLimits().MaxDatagram; most != 0 {
		t.Errorf("sessions begin blocks beyond %d bytes, whatever the path", most)
	}
	// What travels beside the target counts: the same prefixes with a cdid in front.
	edge := 0
	for fits("udp", legOf("udp", edge+1)) {
		edge++
	}
	l := legOf("udp", edge)
	l.CDID = "the identifier of a client's credential"
	if fits("udp", l) {
		t.Errorf("%d prefixes fit with a cdid, and %d do not without", edge, edge+1)
	}
}
