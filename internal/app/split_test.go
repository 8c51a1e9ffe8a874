package app

import (
	"context"
	"fmt"
	"net"
	"slices"
	"testing"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/admin"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/internal/config"
	"github.com/dotsgate/dotsgate/internal/lab"
	"github.com/dotsgate/dotsgate/wire"
	"github.com/dotsgate/dotsgate/wire/rfc9132"
)

// sixty are prefixes of IPv6 of which no two can be said as one.
func sixty() []string {
	var ps []string
	for i := range 60 {
		ps = append(ps, fmt.Sprintf("2001:db8:6401:%x::/64", 0x1000+i*0x111))
	}
	return ps
}

// TestSplit holds that what does not fit a packet to the uplink goes there as several requests, disjoint by target, each of which fits, and that the
// client sees one mitigation: in force when all of it is, and withdrawn as one.
//
// RFC 9132, Section 7.3: requests that are too large are split over several mids.
func TestSplit(t *testing.T) {
	for mtu, least := range map[int]int{1280: 2, 576: 4} {
		t.Run(fmt.Sprint(mtu), func(t *testing.T) {
			t.Parallel()
			pki := newPKI(t)
			up := startUpstream(t, pki, coap.NetworkUDP, "127.0.0.1:0")
			file := writeGatewayFile(t, pki, up.address(), config.TransportDTLS, "")
			change(t, file, "server_name: upstream.lab.example,", fmt.Sprintf("server_name: upstream.lab.example, cuid: per-client, cdid: insert, path_mtu: %d,", mtu))
			gw := startGateway(t, file)
			gw.awaitUplink(t, true)
			c := connect(t, pki, "client1", gw.Addrs()[0])
			c.must(t, dots.CodeCreated, put(1, 300, sixty()...))
			up.await(t, "all of it", func() bool { return len(up.prefixes()) == 60 })
			legs := checkPieces(t, up, mtu, least)
			statuses := c.watch(t, 1)
			for i, name := range legs {
				up.raise(name, dots.StatusMitigated)
				if i < len(legs)-1 {
					eventually(t, "the gateway knows it", func() error { return gw.mitigated(t, i+1) })
					if s, err := c.statusOf(t.Context(), 1); err != nil || s != dots.StatusInProgress {
						t.Fatalf("with %d of %d in force: status %v, %v", i+1, len(legs), s, err)
					}
				}
			}
			awaitStatus(t, statuses, dots.StatusMitigated)
			c.must(t, dots.CodeDeleted, remove(1))
			up.await(t, "nothing", func() bool { return len(up.prefixes()) == 0 })
		})
	}
}

// mitigated is an error unless so many legs of the only mitigation are in force.
func (g *testGateway) mitigated(t *testing.T, want int) error {
	shown, err := g.operator().Mitigations(t.Context(), admin.Filter{})
	if err != nil || len(shown) != 1 {
		return fmt.Errorf("mitigations %+v, %w", shown, err)
	}
	n := 0
	for _, l := range shown[0].Legs {
		if l.Status == dots.StatusMitigated.String() {
			n++
		}
	}
	if n != want {
		return fmt.Errorf("%d legs are in force, want %d: %+v", n, want, shown[0].Legs)
	}
	return nil
}

// raise changes the status of one mitigation, and tells the observers.
func (u *upstreamServer) raise(name string, s dots.Status) {
	u.change(func() {
		for cuid, of := range u.stands {
			for mid, m := range of {
				if fmt.Sprintf("%s/%d", cuid, mid) == name {
					m.status = s
				}
			}
		}
		u.notify()
	})
}

// checkPieces checks that requests have each prefix once, and fit; it returns what stands.
func checkPieces(t *testing.T, up *upstreamServer, mtu, least int) []string {
	t.Helper()
	up.mu.Lock()
	defer up.mu.Unlock()
	seen := map[string]int{}
	for _, s := range up.log {
		if s.op != wire.PutMitigation {
			continue
		}
		leg := dots.Leg{Key: dots.LegKey{CUID: s.cuid, MID: s.mid}, CDID: s.cdid, HopLimit: uint8(s.hopLimit), Request: dots.Request{
			Target: s.target, Lifetime: dots.Some[dots.Lifetime](300),
		}}
		if s.cdid == "" || !inOneDatagram(rfc9132.New(), mtu, leg) {
			t.Errorf("a request with cdid %q and %d prefixes does not fit a packet of %d bytes", s.cdid, len(s.target.Prefixes), mtu)
		}
	}
	for _, of := range up.stands {
		for _, m := range of {
			for _, p := range m.request.Target.Prefixes {
				seen[p.String()]++
			}
		}
	}
	for _, p := range sixty() {
		if seen[p] != 1 {
			t.Errorf("%s is asked for %d times", p, seen[p])
		}
	}
	names := up.names()
	if len(names) < least || len(names) > least+2 {
		t.Errorf("%d requests for 60 prefixes: %v", len(names), names)
	}
	return slices.Clone(names)
}

// linked is a way to an address that tells how large what passes is.
func linked(t *testing.T, to net.Addr) *lab.Link {
	t.Helper()
	l, err := lab.NewLink(lab.LinkConfig{Listen: "127.0.0.1:0", To: to.String(), Networks: []string{coap.NetworkUDP}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return l
}

// TestPathMTU holds that path_mtu of a listener and of an uplink is what the gateway keeps to: handshakes, large answers and requests.
//
// RFC 9132, Section 7.3: what is sent fits the path; 48 bytes of a packet are headers of IPv6 and UDP.
func TestPathMTU(t *testing.T) {
	for _, mtu := range []int{0, 576} {
		t.Run(fmt.Sprint(mtu), func(t *testing.T) {
			t.Parallel()
			pki := newPKI(t)
			up := startUpstream(t, pki, coap.NetworkUDP, "127.0.0.1:0")
			above := linked(t, up.server.Addr())
			file := writeGatewayFile(t, pki, above.Addr().String(), config.TransportDTLS, "")
			most := 1280
			if mtu > 0 {
				most = mtu
				change(t, file, "server_name: upstream.lab.example,", fmt.Sprintf("server_name: upstream.lab.example, path_mtu: %d,", mtu))
				change(t, file, "transport: dtls, profiles:", fmt.Sprintf("transport: dtls, path_mtu: %d, profiles:", mtu))
			}
			gw := startGateway(t, file)
			gw.awaitUplink(t, true)
			below := linked(t, gw.Addrs()[0])
			c := connect(t, pki, "client1", net.UDPAddrFromAddrPort(below.Addr()))
			c.must(t, dots.CodeCreated, put(1, 300, sixty()...))
			if got := c.must(t, dots.CodeContent, get(1)).Reports[0].Target.Prefixes; len(got) != 60 {
				t.Errorf("the client is told %d prefixes", len(got))
			}
			c.must(t, dots.CodeDeleted, remove(1))
			for way, largest := range map[string]int{"to the uplink": above.Stats().Out.Largest, "to the client": below.Stats().Back.Largest} {
				if packet := largest + 48; packet > most || packet < most*2/3 {
					t.Errorf("the largest packet %s has %d bytes, of %d", way, packet, most)
				}
			}
		})
	}
}
