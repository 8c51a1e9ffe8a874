package app

import (
	"slices"
	"strings"
	"testing"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/admin"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/internal/config"
	"github.com/dotsgate/dotsgate/wire"
)

// TestRedirectByCommand sends a client, a domain and everybody to another server, and serves them again; over an upgrade see TestUpgradeKeepsRedirects.
//
// RFC 9132, Section 4.6; RFC 8612, SIG-005: not while an attack is being mitigated.
func TestRedirectByCommand(t *testing.T) {
	t.Parallel()
	pki := newPKI(t)
	up := startUpstream(t, pki, coap.NetworkUDP, "127.0.0.1:0")
	gw := startGateway(t, writeGatewayFile(t, pki, up.address(), config.TransportDTLS, ""))
	gw.awaitUplink(t, true)
	busy, calm := connect(t, pki, "client1", gw.Addrs()[0]), connect(t, pki, "client2", gw.Addrs()[0])
	busy.must(t, dots.CodeCreated, put(1, 300, "192.0.2.1/32"))
	operator, domain := gw.operator(), gw.policyNow().Domain("client2")
	to := admin.Redirection{Server: "other.example", Addresses: []string{"192.0.2.9"}, TTL: 600}
	for _, name := range []string{"client2", domain, ""} {
		to.Name, to.All, to.Off = name, name == "", false
		if err := operator.Redirect(t.Context(), to); err != nil {
			t.Fatal(err)
		}
		busy.must(t, dots.CodeContent, get(1))
		got := calm.must(t, dots.CodeUnavailable, put(2, 300, "192.0.2.2/32"))
		if r := got.Redirect.Value; r.Server != "other.example" || !slices.Equal(r.Records, []string{"192.0.2.9"}) || got.MaxAge != dots.Some[uint32](600) {
			t.Errorf("%q: %+v for %v s", name, r, got.MaxAge)
		}
		if err := operator.Redirect(t.Context(), admin.Redirection{Name: name, All: name == "", Off: true}); err != nil {
			t.Fatal(err)
		}
	}
	calm.must(t, dots.CodeCreated, put(2, 300, "192.0.2.2/32"))
	for _, bad := range []admin.Redirection{
		{},
		{Name: "client1", All: true, Server: "x.example"},
		{Name: "nobody", Server: "x.example"},
		{Name: "nobody", Off: true},
		{Name: "client1"},
		{Name: "client1", Server: "192.0.2.1"},
		{All: true, Off: true},
		{All: true, Server: "x.example", Addresses: []string{"x"}},
	} {
		if err := operator.Redirect(t.Context(), bad); err == nil {
			t.Errorf("%+v is done", bad)
		}
	}
}

// TestRedirectOnLimit fills a listener: whoever comes then is sent to another server over either transport, and who is there goes on.
func TestRedirectOnLimit(t *testing.T) {
	t.Parallel()
	pki := newPKI(t)
	up := startUpstream(t, pki, coap.NetworkUDP, "127.0.0.1:0")
	text := gatewayText(pki, up.address(), config.TransportDTLS, "")
	before, after, ok := strings.Cut(text, "listeners:\n")
	if !ok {
		t.Fatal("no listeners")
	}
	for _, transport := range []string{config.TransportDTLS, config.TransportTLS} {
		t.Run(transport, func(t *testing.T) {
			gw := startGateway(t, writeText(t, before+"listeners:\n"+
				`  - {address: "127.0.0.1:0", transport: `+transport+`, profiles: [rfc9132], max_sessions: 1, redirect_to: {server: spare.example, addresses: [192.0.2.7]}}`+"\n"+after))
			gw.awaitUplink(t, true)
			first := connect(t, pki, "client1", gw.Addrs()[0])
			first.must(t, dots.CodeNotFound, get(1))
			for range 3 {
				late := connect(t, pki, "client2", gw.Addrs()[0])
				for _, req := range []wire.Request{put(1, 300, "192.0.2.1/32"), get(1)} {
					if to := late.must(t, dots.CodeUnavailable, req).Redirect.Value; to.Server != "spare.example" || !slices.Equal(to.Records, []string{"192.0.2.7"}) {
						t.Errorf("sent to %+v", to)
					}
				}
			}
			first.must(t, dots.CodeNotFound, get(1))
		})
	}
}

// TestUpgradeKeepsRedirects: what the operator said of where clients are to go holds in the process that takes over, and a client
// under attack is served there.
func TestUpgradeKeepsRedirects(t *testing.T) {
	t.Parallel()
	pki := newPKI(t)
	up := startUpstream(t, pki, coap.NetworkUDP, "127.0.0.1:0")
	gw := startGateway(t, writeGatewayFile(t, pki, up.address(), config.TransportDTLS, ""))
	gw.awaitUplink(t, true)
	busy, calm := connect(t, pki, "client1", gw.Addrs()[0]), connect(t, pki, "client2", gw.Addrs()[0])
	busy.must(t, dots.CodeCreated, put(1, 300, "192.0.2.1/32"))
	if err := gw.operator().Redirect(t.Context(), admin.Redirection{All: true, Server: "other.example", Addresses: []string{"192.0.2.9"}, TTL: 600}); err != nil {
		t.Fatal(err)
	}
	heirs := succeedable(t, gw)
	if err := gw.operator().Upgrade(t.Context(), admin.Upgrade{}); err != nil {
		t.Fatal(err)
	}
	gw.handedOver(t)
	heirs.next()
	if to := calm.must(t, dots.CodeUnavailable, get(1)).Redirect.Value; to.Server != "other.example" || !slices.Equal(to.Records, []string{"192.0.2.9"}) {
		t.Errorf("sent to %+v", to)
	}
	busy.must(t, dots.CodeContent, get(1))
}
