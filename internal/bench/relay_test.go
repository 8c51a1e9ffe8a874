package bench

import (
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"testing"

	"github.com/dotsgate/dotsgate/internal/coap"
)

// startAnswering serves every request at once with 2.04, as the server behind a relay, until the test ends. It runs in this process, on the cores
// of the load.
func startAnswering(t *testing.T, keys pki) net.Addr {
	t.Helper()
	answer := &coap.Message{Code: coap.Changed, Payload: make([]byte, 30)}
	srv, err := coap.Listen(coap.ServerConfig{
		Network: coap.NetworkUDP, Address: "127.0.0.1:0", Credentials: keys.credentials(t, "server"),
		Session: coap.SessionConfig{Handler: coap.HandlerFunc(func(ex *coap.Exchange) { ex.Respond(answer) })},
	})
	if err != nil {
		t.Fatal(err)
	}
	background(t, srv.Run)
	return srv.Addr()
}

// measureLibcoapRelay drives libcoap's server as a forward proxy, over DTLS on both sides, which is the only relay it is.
func measureLibcoapRelay(t *testing.T) []result {
	t.Helper()
	path, err := exec.LookPath("coap-server-openssl")
	if err != nil {
		t.Skip("coap-server-openssl is not installed (libcoap3-bin)")
	}
	keys, plain := newPKI(t), freeAddress(t)
	up := startAnswering(t, keys)
	host, port, err := net.SplitHostPort(plain)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	p := launch(t, "", path, "-A", host, "-p", port, "-P", ",proxy.bench.example",
		"-c", keys.path("server.pem"), "-j", keys.path("server.key"), "-C", keys.path("ca.pem"))
	addr := net.JoinHostPort(host, strconv.Itoa(n+1)) // it serves DTLS and TLS one port above
	waitTCP(t, p, addr)
	proxied := func(session, slot int) *coap.Message {
		m := &coap.Message{Code: coap.PUT, Payload: make([]byte, 150)}
		m.Options.AddString(coap.ProxyUri, fmt.Sprintf("coaps://%s/bench/%d/%d", up, session, slot))
		return m
	}
	return drive(t, server{process: p, network: coap.NetworkUDP, address: addr, keys: keys, atOnce: 1}, proxied)
}
