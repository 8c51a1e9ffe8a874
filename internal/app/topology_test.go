package app

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/internal/config"
	"github.com/dotsgate/dotsgate/wire"
)

// place is where a gateway of a test stands.
type place struct {
	side      string // of its listeners
	cuid      string // which clients share one upstream
	cdid      string // whether it tells the uplink which client asks
	trusted   bool   // its client1 is a gateway whose cdid is believed
	transport string // of the uplink
	nat       bool   // its clients call 192.0.2.0/24 10.0.0.0/24
}

// placeFile is a gateway's configuration. The names in it must not get out: see secrets.
const placeFile = `
node: {id: gw.lab.example}
listeners:
  - {address: "127.0.0.1:0", transport: dtls, side: %[1]s}
  - {address: "127.0.0.1:0", transport: tls, side: %[1]s}
credentials: {cert: %[2]s/gateway.pem, key: %[2]s/gateway.key, ca: %[2]s/ca.pem}
uplinks:
  - {name: northlink, address: "%[3]s", server_name: %[4]s, transport: %[5]s, cuid: %[6]s, cdid: %[7]s%[8]s}
domains:
  - name: acmelan
    prefixes: [%[9]s]
    clients:
      - {name: detector-one, credentials: {cert_names: [client1.lab.example]}, trusted_gateway: %[10]v}
      - {name: detector-two, credentials: {cert_names: [client2.lab.example]}}
%[11]s
store: {path: store.db}
metrics: {address: ""}
admin: {socket: admin.sock}
mitigation: {terminating: 1s, answer_wait: 20s}
`

// startPlace starts a gateway below an upstream server, or below another gateway, of a name.
func startPlace(t *testing.T, p place, pki string, uplink net.Addr, name string) *testGateway {
	t.Helper()
	own, prefixes, nat := "", `192.0.2.0/24, "2001:db8:6401::/48"`, ""
	if p.nat {
		prefixes = `10.0.0.0/24, "2001:db8:6401::/48"`
		nat = `    nat: [{inside: 10.0.0.0/24, outside: 192.0.2.0/24}, {inside: "2001:db8:6401::/48", outside: "2001:db8:6401::/48"}]`
	}
	if name == "gateway.lab.example" { // a gateway below a gateway shows client1's certificate
		own = fmt.Sprintf(", credentials: {cert: %[1]s/client1.pem, key: %[1]s/client1.key, ca: %[1]s/ca.pem}", pki)
	}
	text := fmt.Sprintf(placeFile, p.side, pki, uplink, name, p.transport, p.cuid, p.cdid, own, prefixes, p.trusted, nat)
	gw := startGateway(t, writeText(t, text))
	gw.awaitUplink(t, true)
	return gw
}

// by is a gateway's listener of a network.
func (g *testGateway) by(network string) net.Addr {
	addrs := g.Addrs()
	return addrs[slices.IndexFunc(addrs, func(a net.Addr) bool { return networkOf(a) == network })]
}

// topology is a way to put gateways between clients and a server.
type topology struct {
	name    string
	clients string // their network
	// places are the gateways, the server's neighbour first.
	places []place
	cuids  int // that the server sees
	cdids  int // that the server sees, the absent one not counted
}

// topologies are the gateways of RFC 8811, Section 3.2.3: on either side, with and without aggregation, with each transport
// on each side; and one behind the other.
func topologies() []topology {
	const dtls, tls = config.TransportDTLS, config.TransportTLS
	return []topology{
		{"client side aggregated TCP to UDP", coap.NetworkTCP, []place{{side: "client-domain", cuid: "aggregate", cdid: "none", transport: dtls}}, 1, 0},
		{"client side each by itself UDP to TCP", coap.NetworkUDP, []place{{side: "client-domain", cuid: "per-client", cdid: "none", transport: tls}}, 2, 0},
		{"server side aggregated UDP to TCP", coap.NetworkUDP, []place{{side: "server-domain", cuid: "per-domain", cdid: "none", transport: tls}}, 1, 0},
		{"server side each by itself TCP to UDP", coap.NetworkTCP, []place{{side: "server-domain", cuid: "per-client", cdid: "insert", transport: dtls}}, 2, 2},
		{"client side translated UDP to UDP", coap.NetworkUDP, []place{{side: "client-domain", cuid: "aggregate", cdid: "none", transport: dtls, nat: true}}, 1, 0},
		{"client side behind server side", coap.NetworkTCP, []place{
			{side: "server-domain", cuid: "per-client", cdid: "insert", transport: tls, trusted: true},
			{side: "client-domain", cuid: "aggregate", cdid: "none", transport: dtls, nat: true},
		}, 1, 1},
	}
}

// TestTopologies plays two clients through each topology: what the server sees, what comes back, and that no side learns what
// is the other's. RFC 8811, Section 3.2.3; RFC 9132, Section 4.4.1.2.
func TestTopologies(t *testing.T) {
	for _, tt := range topologies() {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.play(t)
		})
	}
}

func (tt topology) play(t *testing.T) {
	pki := newPKI(t)
	up := startUpstream(t, pki, network(tt.places[0].transport), "127.0.0.1:0")
	next, name := up.server.Addr(), "upstream.lab.example"
	var gw *testGateway
	for i, p := range tt.places {
		gw = startPlace(t, p, pki, next, name)
		name = "gateway.lab.example"
		if i+1 < len(tt.places) {
			next = gw.by(network(tt.places[i+1].transport))
		}
	}
	lan := "192.0.2."
	if tt.places[len(tt.places)-1].nat {
		lan = "10.0.0."
	}
	one, two := connect(t, pki, "client1", gw.by(tt.clients)), connect(t, pki, "client2", gw.by(tt.clients))
	one.must(t, dots.CodeCreated, put(41, 300, lan+"1/32"))
	two.must(t, dots.CodeCreated, put(42, 300, lan+"2/32", "2001:db8:6401::/64"))
	up.awaitCover(t, "192.0.2.1/32", "192.0.2.2/32", "2001:db8:6401::/64")
	tt.checkNames(t, up)

	// What the server says of its mitigations is told to each client of its own.
	seen := map[*testClient]<-chan dots.Status{one: one.watch(t, 41), two: two.watch(t, 42)}
	up.setStatus(dots.StatusMitigated)
	for _, statuses := range seen {
		awaitStatus(t, statuses, dots.StatusMitigated)
	}
	if r := one.must(t, dots.CodeContent, get(41)).Reports; len(r) != 1 || len(r[0].Target.Prefixes) != 1 || r[0].Target.Prefixes[0].String() != lan+"1/32" {
		t.Errorf("the client is shown %+v", r)
	}
	one.must(t, dots.CodeDeleted, remove(41))
	up.awaitCover(t, "192.0.2.2/32", "2001:db8:6401::/64")

	// The server's refusals come in words that name nobody.
	for i, code := range []dots.Code{
		dots.CodeBadRequest, dots.CodeUnauthorized, dots.CodeConflict, dots.CodeInternal, dots.CodeUnavailable, dots.CodeLoop,
	} {
		up.change(func() { up.refuse[wire.PutMitigation] = code })
		one.try(t, put(uint32(50+i), 300, fmt.Sprintf("%s%d/32", lan, 50+i)))
		one.try(t, get(uint32(50+i)))
	}
	one.try(t, put(90, 300, "203.0.113.1/32")) // another's
	tt.checkHidden(t, up, one)
}

// try sends a request that may have any answer.
func (c *testClient) try(t *testing.T, req wire.Request) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := c.do(ctx, req); err != nil {
		t.Errorf("%s: %v", c.name, err)
	}
}

// awaitCover waits until exactly these prefixes stand.
func (u *upstreamServer) awaitCover(t *testing.T, prefixes ...string) {
	t.Helper()
	u.await(t, fmt.Sprint(prefixes), func() bool {
		var got []string
		for _, p := range u.prefixes() {
			got = append(got, p.String())
		}
		return slices.Equal(slices.Compact(got), prefixes)
	})
}

// checkNames checks by what names the server knows the clients, and that it was asked as a gateway asks.
func (tt topology) checkNames(t *testing.T, up *upstreamServer) {
	t.Helper()
	cuids, cdids := map[string]bool{}, map[string]bool{}
	for _, s := range up.seen() {
		if s.op != wire.PutMitigation {
			continue
		}
		cuids[s.cuid] = true
		if s.cdid != "" {
			cdids[s.cdid] = true
		}
		if s.mid == 41 || s.mid == 42 {
			t.Errorf("a client's mid went upstream: %+v", s)
		}
		// RFC 8768, Section 3: each gateway takes one from what it was given, or from the initial value.
		if want := uint32(16 - len(tt.places)); s.hopLimit != want {
			t.Errorf("Hop-Limit %d upstream, want %d", s.hopLimit, want)
		}
	}
	if len(cuids) != tt.cuids || len(cdids) != tt.cdids {
		t.Errorf("the server sees the cuids %v and the cdids %v, want %d and %d", cuids, cdids, tt.cuids, tt.cdids)
	}
	for cdid := range cdids {
		if cuids[cdid] {
			t.Errorf("%s is a cuid and a cdid", cdid)
		}
	}
	up.mu.Lock()
	defer up.mu.Unlock()
	if n := len(up.sessions); n != 1 {
		t.Errorf("%d sessions with the server, want one for all clients", n)
	}
}

// checkHidden checks what got out on each side. RFC 9132, Section 4.4.1.2 and Section 10: a gateway hides those behind it.
func (tt topology) checkHidden(t *testing.T, up *upstreamServer, c *testClient) {
	t.Helper()
	up.mu.Lock()
	defer up.mu.Unlock()
	inside := []string{"cuid-of-client1", "cuid-of-client2", "detector-one", "detector-two", "acmelan", "client1.lab", "client2.lab", "10.0.0."}
	for _, secret := range inside {
		if bytes.Contains(up.raw.Bytes(), []byte(secret)) {
			t.Errorf("the server was told %q", secret)
		}
	}
	outside := []string{
		"northlink", "upstream.lab", up.address(), "as the test wants", "cuid-of-client2", "detector", "acmelan", "client2", "mid=42",
	}
	if strings.HasPrefix(tt.places[len(tt.places)-1].side, "client") && tt.places[len(tt.places)-1].nat {
		outside = append(outside, "192.0.2.")
	}
	for cuid := range maps.Keys(up.stands) {
		outside = append(outside, cuid)
	}
	for _, secret := range outside {
		if bytes.Contains(c.heard.Bytes(), []byte(secret)) {
			t.Errorf("a client was told %q", secret)
		}
	}
	// So that the search would have found what is there.
	if !bytes.Contains(c.heard.Bytes(), []byte("203.0.113.1/32")) || !bytes.Contains(up.raw.Bytes(), []byte("192.0.2.2/32")) {
		t.Error("a client was not told which target is not its own, or the server not what to protect")
	}
	if !slices.Contains(up.prefixes(), netip.MustParsePrefix("192.0.2.2/32")) {
		t.Error("the refusals of one client took the other's protection")
	}
}
