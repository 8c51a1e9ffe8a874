package coap

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/internal/testpki"
)

// onLinux skips a test of what other systems do not have: every address of 127.0.0.0/8, and sockets bound to interfaces.
func onLinux(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("needs Linux")
	}
}

func TestDialerBindings(t *testing.T) {
	creds := keysOnly(t, "a", map[string]string{"a": "k"})
	tests := map[string]struct {
		source, device, fault string
	}{
		"nothing":               {},
		"an address":            {source: "192.0.2.1"},
		"a mapped address":      {source: "::ffff:192.0.2.1"},
		"of a link":             {source: "fe80::1%lo"},
		"an interface":          {device: "lo"},
		"the longest name":      {device: strings.Repeat("x", 15)},
		"any address":           {source: "0.0.0.0", fault: "source 0.0.0.0"},
		"a group":               {source: "ff02::1", fault: "source ff02::1"},
		"too long an interface": {device: strings.Repeat("x", 16), fault: "at most 15 bytes"},
	}
	for name, tt := range tests {
		cfg := DialConfig{Network: NetworkUDP, Address: "localhost:1", Credentials: creds, Interface: tt.device}
		if tt.source != "" {
			cfg.Source = netip.MustParseAddr(tt.source)
		}
		_, err := NewDialer(cfg)
		if tt.fault == "" && err != nil || tt.fault != "" && (err == nil || !strings.Contains(err.Error(), tt.fault)) {
			t.Errorf("%s: NewDialer() = %v, want %q", name, err, tt.fault)
		}
	}
}

// The address of another family is no address to send to.
func TestSourceChoosesTheFamily(t *testing.T) {
	tests := []struct {
		source, server string
		ok             bool
	}{
		{"127.0.0.2", "127.0.0.1:4646", true},
		{"::ffff:127.0.0.2", "127.0.0.1:4646", true},
		{"127.0.0.2", "[::1]:4646", false},
		{"::1", "[::1]:4646", true},
		{"::1", "127.0.0.1:4646", false},
	}
	for _, tt := range tests {
		from, err := boundTo(DialConfig{Source: netip.MustParseAddr(tt.source)})
		if err != nil {
			t.Fatal(err)
		}
		got, err := resolveUDP(t.Context(), tt.server, from)
		if tt.ok != (err == nil) || err == nil && got.String() != tt.server {
			t.Errorf("from %s to %s: %v, %v", tt.source, tt.server, got, err)
		}
		if err != nil && !strings.Contains(err.Error(), tt.source) {
			t.Errorf("from %s to %s: %v does not name the source", tt.source, tt.server, err)
		}
	}
}

// hostOf is the address without its port.
func hostOf(t *testing.T, a net.Addr) string {
	t.Helper()
	host, _, err := net.SplitHostPort(a.String())
	if err != nil {
		t.Fatal(err)
	}
	return host
}

func TestDialFromSource(t *testing.T) {
	onLinux(t)
	ca := testpki.New(t, "root")
	bothNetworks(t, func(t *testing.T, network string) {
		for source, want := range map[string]string{"": "127.0.0.1", "127.0.0.2": "127.0.0.2"} {
			t.Run("from "+source, func(t *testing.T) {
				l := serve(t, ServerConfig{Network: network, Credentials: credentialsOf(t, ca, ca.Server())})
				cfg := DialConfig{Network: network, Address: l.Addr().String(), Credentials: credentialsOf(t, ca, ca.Client("a.example"))}
				if source != "" {
					cfg.Source = netip.MustParseAddr(source)
				}
				ours := mustDial(t, cfg)
				if got := hostOf(t, l.session(t).RemoteAddr()); got != want {
					t.Errorf("the server sees %s", got)
				}
				if got := hostOf(t, ours.LocalAddr()); source != "" && got != want {
					t.Errorf("we see %s", got)
				}
			})
		}
	})
}

// An address that is not ours is an error that says so, at once.
func TestDialFromForeignSource(t *testing.T) {
	creds := credentialsOf(t, testpki.New(t, "root"), testpki.New(t, "root").Client("a.example"))
	for _, network := range []string{NetworkUDP, NetworkTCP} {
		_, err := dialOnce(t, DialConfig{
			Network: network, Address: "127.0.0.1:1", Credentials: creds, Source: netip.MustParseAddr("192.0.2.77"),
		})
		if !errors.Is(err, syscall.EADDRNOTAVAIL) {
			t.Errorf("%s: Dial() = %v", network, err)
		}
	}
}

// A socket bound to the loopback interface reaches what is there; whoever may not bind is told what is missing.
func TestDialByInterface(t *testing.T) {
	onLinux(t)
	ca := testpki.New(t, "root")
	bothNetworks(t, func(t *testing.T, network string) {
		l := serve(t, ServerConfig{Network: network, Credentials: credentialsOf(t, ca, ca.Server())})
		cfg := DialConfig{
			Network: network, Address: l.Addr().String(), Credentials: credentialsOf(t, ca, ca.Client("a.example")), Interface: "lo",
		}
		if _, err := dialOnce(t, cfg); errors.Is(err, syscall.EPERM) {
			if !strings.Contains(err.Error(), "CAP_NET_RAW") {
				t.Errorf("by lo: Dial() = %v", err)
			}
			t.Skip("this system does not let us bind to an interface")
		} else if err != nil {
			t.Errorf("by lo: Dial() = %v", err)
		}
		cfg.Interface = "no-such-if"
		if _, err := dialOnce(t, cfg); !errors.Is(err, syscall.ENODEV) || !strings.Contains(err.Error(), "no-such-if") {
			t.Errorf("by no interface: Dial() = %v", err)
		}
	})
}

// The system's answer is told in words of the operator.
func TestBindingFaults(t *testing.T) {
	onLinux(t)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	_, err := binding{device: "no-such-if"}.packet(ctx, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1})
	if err == nil || !strings.Contains(err.Error(), "interface no-such-if") {
		t.Errorf("packet() = %v", err)
	}
}

// TestADialledSocketHoldsAHeapOfAnswers: a server answers many requests at once, and none is lost before they are read.
func TestADialledSocketHoldsAHeapOfAnswers(t *testing.T) {
	onLinux(t)
	const heap = 300
	to := &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9}
	socket, err := binding{source: netip.MustParseAddr("127.0.0.1")}.packet(t.Context(), to)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = socket.Close() }()
	server, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Close() }()
	for n := range heap {
		if _, err := server.WriteTo([]byte{byte(n), byte(n >> 8), 100: 0}, socket.LocalAddr()); err != nil {
			t.Fatal(err)
		}
	}
	if err := socket.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 200)
	for n := range heap {
		if _, _, err := socket.ReadFrom(b); err != nil || int(b[0])|int(b[1])<<8 != n {
			t.Fatalf("number %d of %d: got %d, %v", n, heap, int(b[0])|int(b[1])<<8, err)
		}
	}
}
