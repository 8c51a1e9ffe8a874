package resolve

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/miekg/dns"
)

const (
	// tries is how often each server is asked: a datagram may get lost, and then the way is the same for all.
	tries = 2

	// udpSize is the largest answer in bytes that we take in a datagram; it passes everywhere without fragments.
	udpSize = 1232
)

// exchanger asks the configured servers. Each query has a connection of its own: lookups are rare.
type exchanger struct {
	servers []string
	network string // as package dns names it
	tls     *tls.Config
	timeout time.Duration
}

func newExchanger(cfg Config) (exchanger, error) {
	e := exchanger{timeout: cfg.Timeout, network: string(cfg.Transport)}
	port := "53"
	if cfg.Transport == DoT {
		e.network, port = "tcp-tls", "853"
	}
	var err error
	if e.servers, err = servers(cfg, port); err != nil {
		return exchanger{}, err
	}
	if cfg.Transport == DoT {
		if e.tls, err = tlsConfig(cfg); err != nil {
			return exchanger{}, err
		}
	}
	return e, nil
}

func servers(cfg Config, port string) ([]string, error) {
	if cfg.Server != "" {
		return []string{cfg.Server}, nil
	}
	system, err := dns.ClientConfigFromFile(cfg.SystemFile)
	if err != nil {
		return nil, fmt.Errorf("reading the system's servers: %w", err)
	}
	if len(system.Servers) == 0 {
		return nil, fmt.Errorf("reading the system's servers: none in %s", cfg.SystemFile)
	}
	list := make([]string, len(system.Servers))
	for i, server := range system.Servers {
		list[i] = net.JoinHostPort(server, port)
	}
	return list, nil
}

// tlsConfig leaves the server name empty when none is configured; then it is taken from the address.
func tlsConfig(cfg Config) (*tls.Config, error) {
	c := &tls.Config{ServerName: cfg.TLSName, MinVersion: tls.VersionTLS12}
	if cfg.CAFile == "" {
		return c, nil
	}
	pem, err := os.ReadFile(cfg.CAFile)
	if err != nil {
		return nil, fmt.Errorf("reading the resolver's authorities: %w", err)
	}
	c.RootCAs = x509.NewCertPool()
	if !c.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("reading the resolver's authorities: no certificate in %s", cfg.CAFile)
	}
	return c, nil
}

// exchange returns the first reply that is an answer: "it is so" or "there is no such name".
func (e exchanger) exchange(ctx context.Context, name string, qtype uint16) (*dns.Msg, error) {
	var worst error
	for range tries {
		for _, server := range e.servers {
			reply, err := e.exchangeOnce(ctx, server, question(name, qtype))
			if err == nil {
				return reply, nil
			}
			if ctx.Err() != nil {
				return nil, contextError(ctx.Err())
			}
			worst = worse(worst, fmt.Errorf("asking %s: %w", server, err))
		}
	}
	return nil, worst
}

func question(name string, qtype uint16) *dns.Msg {
	m := new(dns.Msg)
	m.SetQuestion(name, qtype)
	m.SetEdns0(udpSize, false)
	// RFC 6840, Section 5.7: AD in a query asks for AD in the answer, without the signatures.
	m.AuthenticatedData = true
	return m
}

func (e exchanger) exchangeOnce(ctx context.Context, server string, query *dns.Msg) (*dns.Msg, error) {
	reply, err := e.send(ctx, e.network, server, query)
	if reply != nil && reply.Truncated && e.network == "udp" {
		reply, err = e.send(ctx, "tcp", server, query)
	}
	if err != nil {
		return nil, describe(err)
	}
	switch {
	case !answers(reply, query):
		return nil, fmt.Errorf("%w: the reply is to another question", ErrFailed)
	case reply.Truncated:
		return nil, fmt.Errorf("%w: the reply is cut off", ErrFailed)
	case reply.Rcode != dns.RcodeSuccess && reply.Rcode != dns.RcodeNameError:
		return nil, fmt.Errorf("%w: %s", ErrFailed, dns.RcodeToString[reply.Rcode])
	}
	return reply, nil
}

// send has the connection closed when the context ends, so that a cancelled lookup does not wait for the time-out.
func (e exchanger) send(ctx context.Context, network, server string, query *dns.Msg) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, e.timeout)
	defer cancel()
	client := &dns.Client{Net: network, TLSConfig: e.tls, Timeout: e.timeout}
	conn, err := client.DialContext(ctx, server)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer func() {
		if stop() {
			_ = conn.Close()
		}
	}()
	reply, _, err := client.ExchangeWithConnContext(ctx, query, conn)
	if err != nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	return reply, err
}

func answers(reply, query *dns.Msg) bool {
	if !reply.Response || reply.Id != query.Id || len(reply.Question) != 1 {
		return false
	}
	got, want := reply.Question[0], query.Question[0]
	return strings.EqualFold(got.Name, want.Name) && got.Qtype == want.Qtype && got.Qclass == want.Qclass
}

func describe(err error) error {
	var netErr net.Error
	if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &netErr) && netErr.Timeout() {
		return fmt.Errorf("%w: %w", ErrTimeout, err)
	}
	return fmt.Errorf("%w: %w", ErrFailed, err)
}

// worse returns the error that says more of two tries: an answer, even a bad one, says more than none.
func worse(a, b error) error {
	if a == nil || errors.Is(a, ErrTimeout) {
		return b
	}
	return a
}
