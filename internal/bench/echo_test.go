package bench

import (
	"context"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/pion/dtls/v3"

	"github.com/dotsgate/dotsgate/internal/app"
	"github.com/dotsgate/dotsgate/internal/coap"
)

// serveLibrary is a yardstick: the DTLS library's own listener, which authenticates its clients and sends back what it gets, with nothing of
// ours.
func serveLibrary(dir, addr string) error {
	cert, roots, err := relayCredentials(dir)
	if err != nil {
		return err
	}
	udp, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		return err
	}
	l, err := dtls.ListenWithOptions("udp", udp, dtls.WithCertificates(cert), dtls.WithClientAuth(dtls.RequireAndVerifyClientCert), dtls.WithClientCAs(roots))
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

// serveCoAP is our CoAP session alone: every request is answered at once, over both transports.
func serveCoAP(dir, addr string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	app.PlanMemory(os.DirFS("/"), os.Getenv).Apply(slog.New(slog.DiscardHandler))
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
