package app

import (
	"testing"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/internal/config"
)

// TestClosedClientIsLostInTheEnd: a client that closes its session and stays away is missed as if its heartbeats were, and what it had armed is asked for
// at once then. Who is not lost, and when, is tested in virtual time: here a slow machine would decide.
//
// RFC 9132, Section 4.7.
func TestClosedClientIsLostInTheEnd(t *testing.T) {
	t.Parallel()
	pki := newPKI(t)
	up := startUpstream(t, pki, coap.NetworkUDP, "127.0.0.1:0")
	gw := startGateway(t, writeGatewayFile(t, pki, up.address(), config.TransportDTLS, "session: {heartbeat_interval: 1s, missing_hb_allowed: 3}"))
	gw.awaitUplink(t, true)
	c := connect(t, pki, "client1", gw.Addrs()[0])
	armed := put(1, 300, "192.0.2.1/32")
	armed.Mitigation.OnSignalLoss = true
	c.must(t, dots.CodeCreated, armed)
	c.close()
	up.await(t, "what the lost client had armed", func() bool {
		for _, of := range up.stands {
			for _, m := range of {
				if !m.request.OnSignalLoss && m.request.Target.Prefixes[0].String() == "192.0.2.1/32" {
					return true
				}
			}
		}
		return false
	})
}
