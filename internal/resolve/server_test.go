package resolve

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// zone answers from records in the form of a zone file, following aliases as a recursive resolver does.
type zone struct {
	records map[string][]dns.RR // by name in lower case
	ad      bool                // what it says it has validated
	queries atomic.Int64
}

func newZone(t testing.TB, lines ...string) *zone {
	t.Helper()
	z := &zone{records: map[string][]dns.RR{}}
	for _, line := range lines {
		rr, err := dns.NewRR(line)
		if err != nil {
			t.Fatalf("record %q: %v", line, err)
		}
		name := strings.ToLower(rr.Header().Name)
		z.records[name] = append(z.records[name], rr)
	}
	return z
}

// ServeDNS implements dns.Handler.
func (z *zone) ServeDNS(w dns.ResponseWriter, query *dns.Msg) {
	z.queries.Add(1)
	reply := new(dns.Msg)
	reply.SetReply(query)
	reply.AuthenticatedData = z.ad && query.AuthenticatedData
	z.fill(reply, query.Question[0])
	if _, ok := w.RemoteAddr().(*net.UDPAddr); ok {
		reply.Truncate(int(query.IsEdns0().UDPSize()))
	}
	_ = w.WriteMsg(reply)
}

func (z *zone) fill(reply *dns.Msg, q dns.Question) {
	name := strings.ToLower(q.Name)
	for range 30 {
		records, ok := z.records[name]
		if !ok {
			reply.Rcode = dns.RcodeNameError
		}
		next := ""
		for _, rr := range records {
			if alias, ok := rr.(*dns.CNAME); ok {
				next = strings.ToLower(alias.Target)
				reply.Answer = append(reply.Answer, rr)
			} else if rr.Header().Rrtype == q.Qtype {
				reply.Answer = append(reply.Answer, rr)
			}
		}
		if next == "" {
			break
		}
		name = next
	}
	reply.Ns = append(reply.Ns, z.records["soa."]...)
}

// serve starts a server on a free port of 127.0.0.1 and returns its address.
func serve(t testing.TB, network string, handler dns.Handler) string {
	t.Helper()
	server := &dns.Server{Handler: handler, Net: network}
	var address string
	if network == "udp" {
		conn, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		server.PacketConn, address = conn, conn.LocalAddr().String()
	} else {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		server.Listener, address = listener, listener.Addr().String()
	}
	start(t, server)
	return address
}

// serveBoth serves UDP and TCP on one port, as servers do.
func serveBoth(t testing.TB, handler dns.Handler) string {
	t.Helper()
	for range 20 {
		conn, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listener, err := net.Listen("tcp", conn.LocalAddr().String())
		if err != nil { // somebody has this port; take another
			_ = conn.Close()
			continue
		}
		start(t, &dns.Server{Handler: handler, PacketConn: conn})
		start(t, &dns.Server{Handler: handler, Listener: listener})
		return conn.LocalAddr().String()
	}
	t.Fatal("no port is free for both")
	return ""
}

func serveTLS(t testing.TB, handler dns.Handler, certificate tls.Certificate) string {
	t.Helper()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12,
	})
	if err != nil {
		t.Fatal(err)
	}
	start(t, &dns.Server{Handler: handler, Listener: listener, Net: "tcp-tls"})
	return listener.Addr().String()
}

func start(t testing.TB, server *dns.Server) {
	t.Helper()
	started, done := make(chan struct{}), make(chan error, 1)
	server.NotifyStartedFunc = func() { close(started) }
	go func() { done <- server.ActivateAndServe() }()
	<-started
	t.Cleanup(func() {
		_ = server.Shutdown()
		<-done
	})
}

// selfSigned returns a certificate for dns.example and 127.0.0.1, and the file that makes it trusted.
func selfSigned(t testing.TB) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "dns.example"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"dns.example"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := os.WriteFile(file, block, 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, file
}
