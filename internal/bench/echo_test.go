package bench

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/pion/dtls/v3"
)

// serveEcho is the yardstick: a bare DTLS server of the library that sends back what it gets, with nothing of ours.
func serveEcho(dir string) error {
	cert, err := tls.LoadX509KeyPair(filepath.Join(dir, "server.pem"), filepath.Join(dir, "server.key"))
	if err != nil {
		return err
	}
	addr, err := os.ReadFile(filepath.Join(dir, "echo.addr"))
	if err != nil {
		return err
	}
	udp, err := net.ResolveUDPAddr("udp", string(addr))
	if err != nil {
		return err
	}
	l, err := dtls.ListenWithOptions("udp", udp, dtls.WithCertificates(cert))
	if err != nil {
		return err
	}
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go echo(c.(*dtls.Conn))
	}
}

// echo sends back what it gets until the peer goes.
func echo(c *dtls.Conn) {
	if c.HandshakeContext(context.Background()) != nil {
		return
	}
	buf := make([]byte, 2048)
	for {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		if _, err := c.Write(buf[:n]); err != nil {
			return
		}
	}
}

// measureEcho drives the yardstick with datagrams of the size of a refresh.
func measureEcho(t *testing.T, keys pki) func() result {
	t.Helper()
	addr := freeAddress(t)
	keys.write(t, "echo.addr", []byte(addr))
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := launch(t, "echo", self, keys.dir)
	udp, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	roots, err := os.ReadFile(keys.path("ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(roots)
	conns := make([]net.Conn, sessions)
	for i := range conns {
		eventually(t, p, "the echo server", func() bool {
			c, err := dtls.DialWithOptions("udp", udp, dtls.WithRootCAs(pool), dtls.WithServerName("localhost"),
				dtls.WithCipherSuites(dtls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256))
			if err != nil {
				return false
			}
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			if c.HandshakeContext(ctx) != nil {
				_ = c.Close() // another attempt follows
				return false
			}
			conns[i] = c
			return true
		})
		t.Cleanup(func() { _ = conns[i].Close() }) // it is only load
	}
	return func() result { return driveEcho(t, p, conns) }
}

// driveEcho keeps datagrams in flight on every connection for one repetition.
func driveEcho(t *testing.T, p *process, conns []net.Conn) result {
	times := make([][]time.Duration, len(conns))
	count := countInstructions(t, p.cmd.Process.Pid)
	busy, own, cpu, begin := machineBusy(t), ownCPU(t), p.cpu(), time.Now()
	var all sync.WaitGroup
	for i, c := range conns {
		all.Go(func() { times[i] = pingPong(c, begin.Add(seconds(t))) })
	}
	all.Wait()
	r := result{took: time.Since(begin), server: p.cpu() - cpu, load: ownCPU(t) - own}
	r.foreign = max(machineBusy(t)-busy-r.server-r.load, 0)
	r.instructions = count.stop()
	flat := slices.Concat(times...)
	slices.Sort(flat)
	r.requests = len(flat)
	if r.requests == 0 {
		t.Fatalf("nothing came back; the server said: %s", p.said())
	}
	r.p50, r.p99 = flat[len(flat)/2], flat[len(flat)*99/100]
	return r
}

// pingPong sends datagrams, as many as are in flight, and one for each that comes back. What got lost is sent again.
func pingPong(c net.Conn, end time.Time) []time.Duration {
	out, in := make([]byte, 190), make([]byte, 2048)
	var times []time.Duration
	sent := make([]time.Time, 0, inFlight)
	for now := time.Now(); now.Before(end); now = time.Now() {
		for len(sent) < inFlight {
			if _, err := c.Write(out); err != nil {
				return times
			}
			sent = append(sent, time.Now())
		}
		_ = c.SetReadDeadline(time.Now().Add(200 * time.Millisecond)) // the read tells
		if _, err := c.Read(in); err != nil {
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				var timeout net.Error
				if !errors.As(err, &timeout) || !timeout.Timeout() {
					return times
				}
			}
			sent = sent[:0]
			continue
		}
		times = append(times, time.Since(sent[0]))
		sent = slices.Delete(sent, 0, 1)
	}
	return times
}

// serveCoAP is our CoAP session alone: every request is answered at once, over both transports.
func serveCoAP(dir, addr string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	creds, err := coap.LoadCredentials(coap.CredentialsConfig{
		CertFile: filepath.Join(dir, "server.pem"), KeyFile: filepath.Join(dir, "server.key"), CAFile: filepath.Join(dir, "ca.pem"),
	})
	if err != nil {
		return err
	}
	answer := &coap.Message{Code: coap.Changed, Payload: make([]byte, 30)}
	var all sync.WaitGroup
	defer all.Wait()
	for _, network := range []string{coap.NetworkUDP, coap.NetworkTCP} {
		srv, err := coap.Listen(coap.ServerConfig{
			Network: network, Address: addr, Credentials: creds,
			Session: coap.SessionConfig{Handler: coap.HandlerFunc(func(ex *coap.Exchange) { ex.Respond(answer) })},
		})
		if err != nil {
			return err
		}
		all.Go(func() { _ = srv.Run(ctx) }) // its end is ours
	}
	return nil
}
