package bench

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	piondtls "github.com/pion/dtls/v3"
	gocoap "github.com/plgd-dev/go-coap/v3"
	gocoapdtls "github.com/plgd-dev/go-coap/v3/dtls"
	"github.com/plgd-dev/go-coap/v3/message"
	"github.com/plgd-dev/go-coap/v3/message/codes"
	"github.com/plgd-dev/go-coap/v3/mux"
	gocoapnet "github.com/plgd-dev/go-coap/v3/net"
	"github.com/plgd-dev/go-coap/v3/options"
	gocoapclient "github.com/plgd-dev/go-coap/v3/udp/client"

	"github.com/dotsgate/dotsgate/internal/coap"
)

// The other CoAP library in Go, with its own sessions, is a yardstick: as a server that answers at once, and as a relay made of its server and
// its clients.

// relayClients is how many sessions such a relay has to its upstream server: each asks for one thing at a time.
const relayClients = 8

// serveGoCoAP answers every request at once, over DTLS and TLS.
func serveGoCoAP(dir, addr string) error {
	answer := mux.HandlerFunc(func(w mux.ResponseWriter, _ *mux.Message) {
		_ = w.SetResponse(codes.Changed, message.AppOctets, bytes.NewReader(make([]byte, 30))) // an error shows as no answer
	})
	cert, _, err := relayCredentials(dir)
	if err != nil {
		return err
	}
	failed := make(chan error, 2)
	go func() {
		failed <- gocoap.ListenAndServeDTLS("udp", addr, gocoapnet.NewDTLSServerOptions(piondtls.WithCertificates(cert)), answer)
	}()
	go func() {
		failed <- gocoap.ListenAndServeTCPTLS("tcp", addr, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}, answer)
	}()
	return <-failed
}

// serveGoCoAPRelay asks an upstream server for whatever it is asked, over DTLS on both sides.
func serveGoCoAPRelay(dir, addr, upstream string) error {
	cert, roots, err := relayCredentials(dir)
	if err != nil {
		return err
	}
	conns := make([]*gocoapclient.Conn, relayClients)
	for i := range conns {
		conns[i], err = gocoapdtls.Dial(upstream, gocoapdtls.NewDTLSClientOptions(piondtls.WithCertificates(cert), piondtls.WithRootCAs(roots),
			piondtls.WithServerName("localhost"), piondtls.WithCipherSuites(piondtls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256)),
			options.WithLimitClientParallelRequest(sessions*inFlight), options.WithLimitClientEndpointParallelRequest(sessions*inFlight),
			options.WithTransmission(sessions*inFlight, 2*time.Second, 4))
		if err != nil {
			return err
		}
	}
	var turn atomic.Uint32
	relay := mux.HandlerFunc(func(w mux.ResponseWriter, r *mux.Message) {
		relayOne(w, r, conns[turn.Add(1)%relayClients])
	})
	return gocoap.ListenAndServeDTLS("udp", addr, gocoapnet.NewDTLSServerOptions(piondtls.WithCertificates(cert)), relay)
}

// relayOne hands one PUT on. An error shows as no answer.
func relayOne(w mux.ResponseWriter, r *mux.Message, to *gocoapclient.Conn) {
	path, err := r.Path()
	if err != nil {
		return
	}
	body, err := io.ReadAll(r.Body())
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	resp, err := to.Put(ctx, path, message.AppOctets, bytes.NewReader(body))
	if err != nil {
		return
	}
	got, err := resp.ReadBody()
	if err != nil {
		return
	}
	_ = w.SetResponse(resp.Code(), message.AppOctets, bytes.NewReader(got))
}

// relayCredentials are those that a relay shows to both sides.
func relayCredentials(dir string) (tls.Certificate, *x509.CertPool, error) {
	cert, err := tls.LoadX509KeyPair(filepath.Join(dir, "server.pem"), filepath.Join(dir, "server.key"))
	if err != nil {
		return cert, nil, err
	}
	roots, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil {
		return cert, nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(roots)
	return cert, pool, nil
}

func measureGoCoAP(t *testing.T, network string) []result {
	t.Helper()
	keys, addr := newPKI(t), freeAddress(t)
	p := launch(t, "gocoap", self(t), keys.dir, addr)
	waitTCP(t, p, addr)
	return drive(t, server{process: p, network: network, address: addr, keys: keys, atOnce: 8}, put)
}

// measureGoCoAPRelay drives the relay with PUTs of the size of a refresh.
func measureGoCoAPRelay(t *testing.T) []result {
	t.Helper()
	keys, addr := newPKI(t), freeAddress(t)
	p := launch(t, "gocoap-relay", self(t), keys.dir, addr, startAnswering(t, keys).String())
	return drive(t, server{process: p, network: coap.NetworkUDP, address: addr, keys: keys, atOnce: 8}, put)
}
