package app

import (
	"testing"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/internal/config"
	"github.com/dotsgate/dotsgate/wire"
)

// TestClosedClientIsLostInTheEnd: a client that closes its session and stays away is missed as if its heartbeats were, and what it had armed is asked for
// at once then; one that has another session is there.
//
// RFC 9132, Section 4.7.
func TestClosedClientIsLostInTheEnd(t *testing.T) {
	t.Parallel()
	pki := newPKI(t)
	up := startUpstream(t, pki, coap.NetworkUDP, "127.0.0.1:0")
	gw := startGateway(t, writeGatewayFile(t, pki, up.address(), config.TransportDTLS, "session: {heartbeat_interval: 2s, missing_hb_allowed: 4}"))
	gw.awaitUplink(t, true)
	armed := func(mid uint32, prefix string) wire.Request {
		r := put(mid, 300, prefix)
		r.Mitigation.OnSignalLoss = true
		return r
	}
	gone, back := connect(t, pki, "client1", gw.Addrs()[0]), connect(t, pki, "client2", gw.Addrs()[0])
	gone.must(t, dots.CodeCreated, armed(1, "192.0.2.1/32"))
	back.must(t, dots.CodeCreated, armed(1, "198.51.100.1/32"))
	before := back
	back = connect(t, pki, "client2", gw.Addrs()[0])
	gone.close()
	before.close()
	up.await(t, "what the lost client had armed", func() bool {
		triggered := 0
		for _, of := range up.stands {
			for _, m := range of {
				if !m.request.OnSignalLoss {
					triggered++
					if got := m.request.Target.Prefixes[0].String(); got != "192.0.2.1/32" {
						t.Errorf("%s is triggered", got)
					}
				}
			}
		}
		return triggered > 0
	})
	back.must(t, dots.CodeContent, get(1))
}
