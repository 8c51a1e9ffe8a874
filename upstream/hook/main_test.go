package hook

import (
	"net/netip"
	"testing"

	"go.uber.org/goleak"

	"github.com/dotsgate/dotsgate/dots"
)

// Nothing that a Mitigator has started outlives it.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// aLeg is a leg with one of everything.
func aLeg(mid uint32) dots.Leg {
	return dots.Leg{
		Key: dots.LegKey{Uplink: "scrub", CUID: "dz6pHjaADkaFTbjr0JGBpw", MID: mid},
		Request: dots.Request{
			MID: mid, Lifetime: dots.Some[dots.Lifetime](1800),
			Target: dots.Target{
				Prefixes:  []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::1/128")},
				Ports:     []dots.PortRange{{Lower: 80, Upper: 80}, {Lower: 8000, Upper: 8100}},
				Protocols: []uint8{6, 17}, FQDNs: []string{"www.example.net"}, URIs: []string{"https://www.example.net/"},
				Aliases: []string{"secret-alias"},
			},
		},
		HopLimit: 15, CDID: "secret-cdid", Revision: 1,
	}
}
