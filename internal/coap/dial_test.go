package coap

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dotsgate/dotsgate/internal/testpki"
)

func TestNewDialerErrors(t *testing.T) {
	creds := keysOnly(t, "a", map[string]string{"a": "k"})
	tests := map[string]DialConfig{
		"no credentials":  {Network: NetworkUDP, Address: "localhost:1"},
		"no port":         {Network: NetworkUDP, Address: "localhost", Credentials: creds},
		"no name":         {Network: NetworkUDP, Address: ":1", Credentials: creds},
		"unknown network": {Network: "sctp", Address: "localhost:1", Credentials: creds},
	}
	for name, cfg := range tests {
		if _, err := NewDialer(cfg); err == nil {
			t.Errorf("%s: NewDialer() = nil", name)
		}
	}
}

func TestDialNeedsRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, err := NewDialer(DialConfig{
			Network: NetworkUDP, Address: "127.0.0.1:1", Credentials: keysOnly(t, "a", map[string]string{"a": "k"}),
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		if _, err := d.Dial(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("Dial() = %v after %v", err, time.Since(start))
		}
		ended, end := context.WithCancel(t.Context())
		end()
		if err := d.Run(ended); err != nil {
			t.Errorf("Run() = %v", err)
		}
		if _, err := d.Dial(t.Context()); err == nil {
			t.Error("Dial() = nil after the end of Run")
		}
	})
}

// silentUDP is a server that never answers.
func silentUDP(t *testing.T) string {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c.LocalAddr().String()
}

func TestDialGivesUp(t *testing.T) {
	noLeaks(t)
	ca := testpki.New(t, "root")
	creds := credentialsOf(t, ca, ca.Client("a.example"))
	t.Run("at its time-out", func(t *testing.T) {
		d := dialer(t, DialConfig{
			Network: NetworkUDP, Address: silentUDP(t), Credentials: creds, HandshakeTimeout: 50 * time.Millisecond,
		})
		if _, err := d.Dial(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Dial() = %v", err)
		}
		if got := d.cfg.Session.Counters.HandshakeFailures.Load(); got != 1 {
			t.Errorf("%d failures counted, want 1", got)
		}
	})
	t.Run("at the end of Run", func(t *testing.T) {
		d, err := NewDialer(DialConfig{Network: NetworkUDP, Address: silentUDP(t), Credentials: creds})
		if err != nil {
			t.Fatal(err)
		}
		stop := runUntilEnd(t, d.Run)
		<-d.started
		failed := make(chan error, 1)
		go func() {
			_, err := d.Dial(context.Background())
			failed <- err
		}()
		stop()
		select {
		case err := <-failed:
			if err == nil {
				t.Error("Dial() = nil")
			}
		case <-time.After(patience):
			t.Error("Dial does not return")
		}
	})
	t.Run("when nobody listens", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		_ = l.Close()
		if _, err := dialOnce(t, DialConfig{Network: NetworkTCP, Address: l.Addr().String(), Credentials: creds}); err == nil {
			t.Error("Dial() = nil")
		}
	})
}

func TestResolveUDP(t *testing.T) {
	tests := []struct {
		in, want string
	}{
		{"127.0.0.1:4646", "127.0.0.1:4646"},
		{"[::1]:4646", "[::1]:4646"},
		{"127.0.0.1:nosuchport", ""},
		{"127.0.0.1", ""},
	}
	for _, tt := range tests {
		got, err := resolveUDP(t.Context(), tt.in, binding{})
		if (err == nil) != (tt.want != "") || err == nil && got.String() != tt.want {
			t.Errorf("resolveUDP(%q) = %v, %v, want %q", tt.in, got, err, tt.want)
		}
	}
}
