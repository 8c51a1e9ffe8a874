//go:build interop

package interop

import (
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// startForeign starts one of libcoap's servers on a port, or on any free one, and returns it with its address. It makes a
// resource of whatever is PUT, and knows no DOTS.
func startForeign(r *rig, program string, port int) (*process, string) {
	r.t.Helper()
	for try := range 5 {
		if port == 0 || try > 0 {
			port = freePort(r.t)
		}
		p := spawn(r.t, program, "-v", "7", "-A", "127.0.0.1", "-p", strconv.Itoa(port), "-d", "20",
			"-c", r.file("upstream.pem"), "-j", r.file("upstream.key"), "-C", r.file("ca.pem"))
		// DTLS and TLS are one port above; the last endpoint to be made is that of TLS.
		if address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port+1)); p.waitFor("created TLS", address) != "" {
			return p, address
		}
	}
	r.t.Fatalf("%s does not start", program)
	return nil, ""
}

// isRequest accepts the n-th request of a method whose path ends so.
func isRequest(n int, code, path string) func([]message) (message, bool) {
	return times(n, func(m message) bool { return m.code == code && strings.Contains(m.options+",", path+",") })
}

// The upstream half against a server that speaks CoAP and no DOTS: the session comes up, is kept by heartbeats, requests are
// answered. What its answers lack of DOTS does no harm.
func TestInteropForeignServer(t *testing.T) {
	for _, program := range []string{"coap-server-openssl", "coap-server-gnutls"} {
		for transport, overTLS := range map[string]bool{"coaps": false, "coaps+tcp": true} {
			t.Run(program+"/"+transport, func(t *testing.T) {
				requireProgram(t, program, "libcoap3-bin")
				t.Parallel()
				testForeignServer(t, program, overTLS)
			})
		}
	}
}

func testForeignServer(t *testing.T, program string, overTLS bool) {
	var server *process
	r := newRig(t, setup{
		tls: overTLS, more: "session: {heartbeat_interval: 1s, missing_hb_allowed: 3}\n",
		upstream: func(r *rig) (address string) {
			server, address = startForeign(r, program, 0)
			return address
		},
	})
	// The client is libcoap's as well, of the other library.
	c := &client{r: r, program: strings.Replace(program, "server", "client", 1), scheme: "coaps", cert: "client1"}

	// RFC 9132, Section 4.4.1.3 wants the granted lifetime in a 2.01; a server that leaves the body out has said yes.
	c.put(1, asking(t, "192.0.2.1/32")).expect(t, "PUT", "2.01")
	put := r.await(server, "a PUT", times(1, func(m message) bool { return m.code == "PUT" && strings.Contains(m.options, "Uri-Path:mid=") }))
	mid := regexp.MustCompile(`Uri-Path:mid=[0-9]+`).FindString(put.options) // the gateway's own
	if strings.Contains(put.options, cuid) || !strings.Contains(put.options, "Hop-Limit:15") {
		t.Errorf("the server got %v; want the gateway's own cuid, and Hop-Limit 15", put)
	}
	if !overTLS && put.kind != "NON" {
		t.Errorf("the server got %v; want a NON (RFC 9132, Section 4.4.1)", put)
	}
	r.await(server, "a GET with Observe", times(1, func(m message) bool { return m.code == "GET" && strings.Contains(m.options, "Observe:0") }))
	r.await(server, "heartbeats", isRequest(5, "PUT", "Uri-Path:hb"))
	// It answers the GET with 4.04: nothing is known of the attack.
	if m := c.get(1); m.status() != 1 {
		t.Errorf("GET: %v; want status 1", m)
	}
	c.put(1, asking(t, "192.0.2.1/32")).expect(t, "refresh", "2.04")
	r.await(server, "the refresh", isRequest(2, "PUT", mid))
	c.restartServer(program, mid, &server)
	c.ask(fmt.Sprintf("mitigate/cuid=%s/mid=1", cuid), "-m", "delete").expect(t, "DELETE", "2.02")
	r.await(server, "the withdrawal", times(1, func(m message) bool { return m.code == "DELETE" }))
	if n := strings.Count(r.gateway.text(), "panic"); n != 0 {
		t.Errorf("%d panics", n)
	}
}

// restartServer kills the server and starts it anew, without its memory, at the same address: what stood there is asked for again.
func (c *client) restartServer(program, mid string, server **process) {
	c.r.t.Helper()
	(*server).kill()
	_, port, err := net.SplitHostPort(c.r.uplink)
	if err != nil {
		c.r.t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		c.r.t.Fatal(err)
	}
	*server, _ = startForeign(c.r, program, n-1)
	c.r.await(*server, "the mitigation after a restart", isRequest(1, "PUT", mid))
}
