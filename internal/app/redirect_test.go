package app

import (
	"errors"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/config"
	"github.com/dotsgate/dotsgate/wire"
)

// TestRedirect holds that a redirect that leads nowhere stays between the two: the client's request is kept, and a person is told.
//
// RFC 9132, Section 4.6: the Max-Age of a redirect is how long the other server is to be used, not when to ask again.
func TestRedirect(t *testing.T) {
	pki := newPKI(t)
	up := startUpstream(t, pki, network(config.TransportDTLS), "127.0.0.1:0")
	up.change(func() { up.redirect = "other.example" })
	file := writeGatewayFile(t, pki, up.address(), config.TransportDTLS, "")
	change(t, file, "answer_wait: 20s", "answer_wait: 1s") // it is waited out here
	gw := startGateway(t, file)
	gw.awaitUplink(t, true)
	c := connect(t, pki, "client1", gw.Addrs()[0])
	created := c.must(t, dots.CodeCreated, put(7, 300, "192.0.2.1/32"))
	if created.MaxAge.Set || created.Redirect.Set || created.Granted.Value.Lifetime != 300 {
		t.Errorf("answered %+v", created)
	}
	if s, err := c.statusOf(t.Context(), 7); s != dots.StatusInProgress || err != nil {
		t.Errorf("status %v, %v", s, err)
	}
	eventually(t, "a person is told", func() error {
		for line := range strings.Lines(gw.log.String()) {
			if strings.Contains(line, "level=ERROR") && strings.Contains(line, "uplink refused a leg") && strings.Contains(line, "redirected to other.example") {
				return nil
			}
		}
		return errors.New("nobody is")
	})
}

// TestRedirectIsFollowed holds that a mitigation comes to stand at the server to which the uplink sends us, and that the operator sees where we are.
func TestRedirectIsFollowed(t *testing.T) {
	pki := newPKI(t)
	home := startUpstream(t, pki, network(config.TransportDTLS), "127.0.0.1:0")
	other := startUpstream(t, pki, network(config.TransportDTLS), "127.0.0.2:"+strconv.Itoa(home.server.Addr().(*net.UDPAddr).Port))
	home.change(func() { home.redirect, home.records = "upstream.lab.example", []string{"127.0.0.2"} })
	gw := startGateway(t, writeGatewayFile(t, pki, home.address(), config.TransportAuto, ""))
	gw.awaitUplink(t, true)
	c := connect(t, pki, "client1", gw.Addrs()[0])
	created := c.must(t, dots.CodeCreated, put(7, 300, "192.0.2.1/32"))
	if created.Granted.Value.Lifetime != 300 {
		t.Errorf("answered %+v", created)
	}
	home.await(t, "the request", func() bool { return home.count(wire.PutMitigation) == 1 })
	other.await(t, "the request", func() bool { return other.count(wire.PutMitigation) == 1 })
	ups, err := gw.Uplinks(t.Context())
	if err != nil || len(ups) != 1 || ups[0].Redirected != "upstream.lab.example" || !ups[0].Up || ups[0].RedirectedUntil.IsZero() {
		t.Errorf("shown as %+v, %v", ups, err)
	}
}

// TestUDPIsBlocked holds that an uplink is reached over TLS where nothing comes back over UDP.
//
// RFC 9132, Section 4.3.
func TestUDPIsBlocked(t *testing.T) {
	pki := newPKI(t)
	up := startUpstream(t, pki, network(config.TransportTLS), "127.0.0.1:0")
	silent, err := net.ListenPacket("udp", up.address())
	if err != nil {
		t.Skip("the port is taken for UDP:", err)
	}
	defer silent.Close()
	begun := time.Now()
	gw := startGateway(t, writeGatewayFile(t, pki, up.address(), config.TransportAuto, ""))
	gw.awaitUplink(t, true)
	t.Logf("a session over TLS stands %v after the start", time.Since(begun).Round(time.Millisecond))
	ups, err := gw.Uplinks(t.Context())
	if err != nil || len(ups) != 1 || ups[0].Transport != config.TransportTLS {
		t.Errorf("shown as %+v, %v", ups, err)
	}
	c := connect(t, pki, "client1", gw.Addrs()[0])
	c.must(t, dots.CodeCreated, put(7, 300, "192.0.2.1/32"))
}
