package ctl_test

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/internal/ctl"
	"github.com/dotsgate/dotsgate/internal/lab"
)

// serve runs a simulated server on one address over the given networks and returns how to reach it.
func serve(t *testing.T, networks ...string) ctl.Config {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "pki")
	if err := lab.WritePKI(lab.PKIConfig{Dir: dir}); err != nil {
		t.Fatal(err)
	}
	file := func(name string) string { return filepath.Join(dir, name) }
	credentials, err := coap.LoadCredentials(coap.CredentialsConfig{
		CertFile: file("upstream.pem"), KeyFile: file("upstream.key"), CAFile: file("ca.pem"),
	})
	if err != nil {
		t.Fatal(err)
	}
	var server *lab.Server
	for range 10 { // the port that is free over one transport may be in use over the other
		free, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		cfg := lab.ServerConfig{Credentials: credentials}
		for _, n := range networks {
			cfg.Listeners = append(cfg.Listeners, lab.Listener{Network: n, Address: free.Addr().String()})
		}
		_ = free.Close()
		if server, err = lab.NewServer(cfg); err == nil {
			break
		}
	}
	if server == nil {
		t.Fatal("no port is free")
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return ctl.Config{Server: server.Addr().String(), Cert: file("client1.pem"), Key: file("client1.key"), CA: file("ca.pem")}
}

// TestAuto: RFC 9132, Section 4.3: DTLS is preferred, and TLS taken when there is no session over DTLS.
func TestAuto(t *testing.T) {
	tests := []struct {
		name     string
		networks []string
		start    time.Duration
		reliable bool
	}{
		{"both", []string{coap.NetworkUDP, coap.NetworkTCP}, time.Hour, false},
		{"DTLS alone", []string{coap.NetworkUDP}, time.Nanosecond, false},
		{"TLS alone", []string{coap.NetworkTCP}, 20 * time.Millisecond, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := serve(t, tt.networks...)
			cfg.HeadStart = tt.start
			used := false
			err := ctl.Open(t.Context(), cfg, time.Minute, func(ctx context.Context, c *ctl.Conn) error {
				used = true
				if got := c.Session().Reliable(); got != tt.reliable {
					t.Errorf("reliable = %v, want %v", got, tt.reliable)
				}
				return c.Ping(ctx)
			})
			if err != nil || !used {
				t.Errorf("Open() = %v", err)
			}
		})
	}
}

func TestOpenEnds(t *testing.T) {
	cfg := serve(t, coap.NetworkTCP)
	boom := errors.New("boom")
	if err := ctl.Open(t.Context(), cfg, time.Minute, func(context.Context, *ctl.Conn) error { return boom }); !errors.Is(err, boom) {
		t.Errorf("Open() = %v, want what use returned", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	used := func(context.Context, *ctl.Conn) error {
		t.Error("used after the end")
		return nil
	}
	if err := ctl.Open(ctx, cfg, time.Minute, used); ctl.ExitCode(err) != ctl.ExitNoSession {
		t.Errorf("Open() after the end = %v", err)
	}
	cfg.Transport = ctl.TransportDTLS
	if err := ctl.Open(t.Context(), cfg, 50*time.Millisecond, used); ctl.ExitCode(err) != ctl.ExitNoSession {
		t.Errorf("Open() where nobody is = %v", err)
	}
}

// TestOpenSaysAll: what went wrong over each transport stands in one line.
func TestOpenSaysAll(t *testing.T) {
	cfg := serve(t, coap.NetworkTCP)
	cfg.Server, cfg.HeadStart = "127.0.0.1:1", time.Nanosecond
	err := ctl.Open(t.Context(), cfg, 100*time.Millisecond, func(context.Context, *ctl.Conn) error { return nil })
	if ctl.ExitCode(err) != ctl.ExitNoSession {
		t.Fatalf("Open() where nobody is = %v", err)
	}
	text := err.Error()
	if strings.Contains(text, "\n") || strings.Count(text, "; ") != 1 || !strings.Contains(text, "over udp") || !strings.Contains(text, "over tcp") {
		t.Errorf("Open() where nobody is = %q", text)
	}
}

// TestCUID: RFC 9132, Section 4.4.1.1: 22 characters from the certificate's key, the same each time; or the one that is given.
func TestCUID(t *testing.T) {
	cfg := serve(t, coap.NetworkTCP)
	cfg.Transport = ctl.TransportTLS
	cuid := func() (got string) {
		t.Helper()
		if err := ctl.Open(t.Context(), cfg, time.Minute, func(_ context.Context, c *ctl.Conn) error {
			got = c.CUID()
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return got
	}
	first := cuid()
	if len(first) != 22 || strings.ContainsAny(first, "+/=") || cuid() != first {
		t.Errorf("cuid %q", first)
	}
	cfg.CUID = "mine"
	if got := cuid(); got != "mine" {
		t.Errorf("cuid %q, want the given one", got)
	}
}
