package app

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/admin"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/internal/config"
)

// TestNegotiationBetweenGateways lets a gateway negotiate with another one what its own file says, in either dialect and over either transport, and
// go back by a reload, on one session. A mitigation goes the same way as ever.
//
// RFC 9132, Section 4.5: the session configuration, from both ends.
func TestNegotiationBetweenGateways(t *testing.T) {
	for _, tt := range []struct{ transport, profile string }{
		{config.TransportDTLS, config.ProfileRFC9132}, {config.TransportTLS, config.ProfileRFC9132}, {config.TransportDTLS, config.ProfileDraft04},
	} {
		t.Run(tt.transport+" "+tt.profile, func(t *testing.T) {
			t.Parallel()
			pki := newPKI(t)
			up := startUpstream(t, pki, coap.NetworkUDP, "127.0.0.1:0")
			above := startGateway(t, writeGatewayFile(t, pki, up.address(), config.TransportDTLS, ""))
			above.awaitUplink(t, true)
			file := writeBelow(t, pki, above.by(network(tt.transport)).String(), tt.transport, tt.profile)
			gw := startGateway(t, file)
			gw.awaitUplink(t, true)
			gw.awaitHeartbeat(t, 200)
			before := gw.uplink(t)
			c := connect(t, pki, "client2", gw.by(coap.NetworkUDP))
			c.must(t, dots.CodeCreated, put(7, 300, "192.0.2.1/32"))
			up.await(t, "the mitigation", func() bool { return len(up.prefixes()) == 1 })
			c.must(t, dots.CodeDeleted, remove(7))
			up.await(t, "the withdrawal", func() bool { return len(up.prefixes()) == 0 })

			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			without, _, _ := strings.Cut(string(text), ", session:")
			_, rest, _ := strings.Cut(string(text), "#\n")
			if err := os.WriteFile(file, []byte(without+"}\n"+rest), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := gw.operator().Reload(t.Context()); err != nil {
				t.Fatal(err)
			}
			gw.awaitHeartbeat(t, 30)
			if after := gw.uplink(t); !after.Since.Equal(before.Since) || after.SID != 0 {
				t.Errorf("before the reload %+v, after it %+v", before, after)
			}
		})
	}
}

// writeBelow writes the file of a gateway below another one, to which it shows client1's certificate.
func writeBelow(t *testing.T, pki, address, transport, profile string) string {
	t.Helper()
	text := gatewayText(pki, address, transport, "")
	old := "server_name: upstream.lab.example, transport: " + transport + "}"
	if !strings.Contains(text, old) {
		t.Fatal("the gateway's file is another one")
	}
	return writeText(t, strings.Replace(text, old, fmt.Sprintf(`server_name: gateway.lab.example, transport: %[1]s, profile: %[2]s,
     credentials: {cert: %[3]s/client1.pem, key: %[3]s/client1.key, ca: %[3]s/ca.pem}, session: {idle: {heartbeat_interval: 200s}, mitigating: {heartbeat_interval: 200s}}} #`,
		transport, profile, pki), 1))
}

// uplink is the only uplink as the operator sees it.
func (g *testGateway) uplink(t *testing.T) admin.Uplink {
	t.Helper()
	us, err := g.Uplinks(t.Context())
	if err != nil || len(us) != 1 {
		t.Fatalf("uplinks %+v, %v", us, err)
	}
	return us[0]
}

// awaitHeartbeat waits until an interval, in seconds, is in force towards the uplink.
func (g *testGateway) awaitHeartbeat(t *testing.T, interval int) {
	t.Helper()
	eventually(t, "the heartbeats' interval", func() error {
		if u := g.uplink(t); u.Heartbeat != interval {
			return fmt.Errorf("%d s, sid %d", u.Heartbeat, u.SID)
		}
		return nil
	})
}
