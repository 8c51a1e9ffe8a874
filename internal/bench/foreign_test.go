package bench

import (
	"net"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/internal/coap"
)

// launchLibcoap starts libcoap's example server; ok is false where it is missing.
func launchLibcoap(t *testing.T, network string) (s server, ok bool) {
	t.Helper()
	path, err := exec.LookPath("coap-server-openssl")
	if err != nil {
		return s, false
	}
	keys, plain := newPKI(t), freeAddress(t)
	host, port, err := net.SplitHostPort(plain)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	p := launch(t, "", path, "-A", host, "-p", port, "-d", "100", "-c", keys.path("server.pem"), "-j", keys.path("server.key"), "-C", keys.path("ca.pem"))
	addr := net.JoinHostPort(host, strconv.Itoa(n+1)) // it serves DTLS and TLS one port above
	waitTCP(t, p, addr)
	return server{process: p, network: network, address: addr, keys: keys, atOnce: 1}, true
}

// launchCoAP starts our CoAP session alone.
func launchCoAP(t *testing.T, network string) server {
	t.Helper()
	keys, addr := newPKI(t), freeAddress(t)
	p := launch(t, "coap", self(t), keys.dir, addr)
	waitTCP(t, p, addr)
	return server{process: p, network: network, address: addr, keys: keys, atOnce: 16}
}

func waitTCP(t *testing.T, p *process, addr string) {
	t.Helper()
	eventually(t, p, "the server's port", func() bool {
		c, err := net.DialTimeout("tcp", addr, time.Second)
		if err != nil {
			return false
		}
		_ = c.Close() // it was only to see
		return true
	})
}

// put asks a server that is no DOTS server for a PUT of the size of a refresh.
func put(session, _ int) *coap.Message {
	m := &coap.Message{Code: coap.PUT, Payload: make([]byte, 150)}
	m.Options.SetPath("bench", strconv.Itoa(session))
	return m
}

// launchLibrary starts the DTLS library's own listener.
func launchLibrary(t *testing.T) server {
	t.Helper()
	keys, addr := newPKI(t), freeAddress(t)
	p := launch(t, "library", self(t), keys.dir, addr)
	s := server{process: p, network: coap.NetworkUDP, address: addr, keys: keys, atOnce: 16}
	c := newCrowd(t, s)
	eventually(t, p, "the listener", func() bool {
		m := c.join()
		err := c.shake(m)
		if err == nil {
			m.leave()
		}
		return err == nil
	})
	return s
}
