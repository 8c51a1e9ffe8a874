package app

import (
	"errors"
	"strings"
	"testing"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/config"
)

// TestRedirect holds that a redirect of the uplink's stays between the two: the client's request is kept, and a person is told.
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
