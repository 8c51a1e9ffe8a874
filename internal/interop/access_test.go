//go:build interop

package interop

import (
	"strings"
	"testing"
)

// refused checks that a client gets no session: it is answered nothing at all, and the gateway says why.
func (c *client) refused(what string, credentials []string) {
	c.r.t.Helper()
	c.count.Add(1)
	lines := c.start(credentials, "mitigate/cuid="+cuid, "-B", "3").wait()
	if answer := final(parse(lines)); answer.code != "" {
		c.r.t.Errorf("%s: answered %v; want no session", what, answer)
	}
}

// Who may come in: no session without a certificate of our authority; 4.01 to whoever has one that is not in the
// configuration. RFC 9132, Section 7.1 and Section 4.4.1.3.
func TestInteropAccess(t *testing.T) {
	eachClient(t, setup{}, func(t *testing.T, c *client) {
		c.refused("no certificate", []string{"-R", c.r.file("ca.pem")})
		if c.r.gateway.waitFor("handshake failed") == "" {
			t.Error("the gateway does not say that a handshake failed")
		}
		for _, cert := range []string{"stranger", "expired"} {
			c.cert = cert
			c.refused("certificate "+cert, c.credentials())
		}
		c.cert = "client2"
		c.put(1, asking(t, "192.0.2.1/32")).expect(t, "PUT of an unknown client", "4.01")
		c.ask("config").expect(t, "GET of an unknown client", "4.01")
		c.get(1, "-s", "1").expect(t, "observation of an unknown client", "4.01")
		c.cert = "client1"
		c.put(1, asking(t, "203.0.113.1/32")).expect(t, "PUT of another's prefix", "4.00")
		if list, _ := c.r.journal.mitigations(); len(list) != 0 {
			t.Errorf("upstream saw refused requests: %+v", list)
		}
		c.put(1, asking(t, "192.0.2.1/32")).expect(t, "PUT of a known client", "2.01")
	})
}

// A pre-shared key with Diffie-Hellman, over DTLS. The gateway offers no suite without it unless it is told to, so a session
// shows which one it is. RFC 9132, Section 7.1.
func TestInteropPSK(t *testing.T) {
	eachClient(t, setup{psk: true}, func(t *testing.T, c *client) {
		key := []string{"-u", pskIdentity, "-k", pskKey}
		if c.overTCP() {
			c.refused("pre-shared key over TLS", key)
			return
		}
		c.count.Add(1)
		body := c.withBody(asking(t, "192.0.2.1/32"))
		path := "mitigate/cuid=" + cuid + "/mid=1"
		final(parse(c.start(key, path, body...).wait())).expect(t, "PUT", "2.01")
		c.r.upstream("the mitigation", isPut("192.0.2.1/32"))
		c.refused("wrong key", []string{"-u", pskIdentity, "-k", pskKey + "!"})
		c.refused("unknown identity", []string{"-u", "nobody", "-k", pskKey})
		// The same client by its certificate: what was asked with the key is there.
		c.get(1).expect(t, "GET by certificate", "2.05")
		if log := c.r.gateway.text(); strings.Contains(log, pskKey) {
			t.Error("the log shows the key")
		}
		c.r.checkHidden(cuid)
	})
}
