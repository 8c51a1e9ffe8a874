package front

import (
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/dtls/v3"
)

func never([]byte) bool { return false }

// paths are the ways a network may treat a handshake.
func paths() map[string]struct{ toServer, toClient func([]byte) int } {
	const serverHello, clientKeyExchange = 2, 16
	sealed := func(b []byte) bool { return holdsProtected(b) }
	return map[string]struct{ toServer, toClient func([]byte) int }{
		"nothing lost":                      {lossy(never, 0), lossy(never, 0)},
		"first hello lost":                  {lossy(carries(typeClientHello), 1), nil},
		"HelloVerifyRequest lost":           {nil, lossy(carries(typeHelloVerify), 1)},
		"HelloVerifyRequest lost 3 times":   {nil, lossy(carries(typeHelloVerify), 3)},
		"second hello lost":                 {lossy(repeated, 1), nil},
		"second hello lost twice":           {lossy(repeated, 2), nil},
		"server's flight lost":              {nil, lossy(carries(serverHello), 1)},
		"client's flight lost":              {lossy(carries(clientKeyExchange), 1), nil},
		"client's flight lost 3 times":      {lossy(carries(clientKeyExchange), 3), nil},
		"server's last flight lost":         {nil, lossy(sealed, 1)},
		"server's last flight lost 3 times": {nil, lossy(sealed, 3)},
		"all doubled":                       {doubled, doubled},
	}
}

// TestHandshake: with a certificate, whatever the network loses; and no plaintext record of ours has a number that another had.
func TestHandshake(t *testing.T) {
	for name, network := range paths() {
		t.Run(name, func(t *testing.T) {
			withBoth(t, func(t *testing.T, path func(*Config)) {
				h := newHouse(t, path)
				defer h.close(t)
				h.lose(network.toServer, network.toClient)
				c, _ := h.client(t, clientAddr(1))
				echo(t, c, "ping")
				wantNumbersOnce(t, h.sentSince(0))
				h.wantTakenOver(t, 1)
				_ = c.Close()
				if err := <-h.ended; !errors.Is(err, io.EOF) {
					t.Errorf("the session ended with %v, want EOF", err)
				}
			})
		})
	}
}

// wantNumbersOnce: RFC 6347, Section 4.1.2.6: a receiver drops a record whose number it has seen. The answer to a first
// hello that came twice is the same one, twice.
func wantNumbersOnce(t *testing.T, datagrams [][]byte) {
	t.Helper()
	seen := make(map[uint64]string)
	for _, b := range datagrams {
		for n := nextRecord(b); n > 0 && b[0] != recordTypeCID; n = nextRecord(b) {
			if recordEpoch(b) == 0 {
				number, text := recordNumber(b), string(b[:n])
				if old := seen[number]; old != "" && (old != text || b[recordHeader] != typeHelloVerify) {
					t.Errorf("record number %d is sent twice", number)
				}
				seen[number] = text
			}
			b = b[n:]
		}
	}
	if len(seen) < 4 {
		t.Errorf("%d plaintext records seen", len(seen))
	}
}

// TestHandshakePSK: with a pre-shared key, over IPv6 too.
func TestHandshakePSK(t *testing.T) {
	psk := func([]byte) ([]byte, error) { return []byte("secret"), nil }
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, func(c *Config) {
			c.Options = func() []dtls.ServerOption {
				return []dtls.ServerOption{dtls.WithPSK(psk), dtls.WithCipherSuites(dtls.TLS_PSK_WITH_AES_128_GCM_SHA256)}
			}
		})
		defer h.close(t)
		h.options = h.front.cfg.Options
		for i, at := range []string{"198.51.100.7:1", "[2001:db8::7]:1"} {
			s := h.socket(mustAddrPort(t, at))
			c, err := h.dial(s, []dtls.ClientOption{
				dtls.WithPSK(psk), dtls.WithPSKIdentityHint([]byte("a")), dtls.WithCipherSuites(dtls.TLS_PSK_WITH_AES_128_GCM_SHA256),
			})
			if err != nil {
				t.Fatal(err)
			}
			echo(t, c, "ping")
			if got := (<-h.conns).RemoteAddr(); got.String() != at {
				t.Errorf("client %d is at %v", i, got)
			}
			_ = c.Close()
			<-h.ended
		}
	})
}

// TestClose: the server ends the session, from under its input too, with close_notify.
func TestClose(t *testing.T) {
	withBoth(t, func(t *testing.T, path func(*Config)) {
		h := newHouse(t, path)
		defer h.close(t)
		c, _ := h.client(t, clientAddr(1))
		conn := <-h.conns
		for range 2 {
			if err := conn.Close(); err != nil {
				t.Errorf("Close() = %v", err)
			}
		}
		if err := conn.Write([]byte("late")); err == nil {
			t.Error("a write after Close succeeds")
		}
		if _, err := c.Read(make([]byte, 10)); !errors.Is(err, io.EOF) {
			t.Errorf("the client reads %v, want EOF", err)
		}
		if err := <-h.ended; !errors.Is(err, io.EOF) {
			t.Errorf("the session ended with %v, want EOF", err)
		}
		h.wantKnown(t, 0, 0)
	})
}

// TestWrongAuthority: a failed handshake is told to both, and leaves nothing.
func TestWrongAuthority(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, other := newHouse(t), newHouse(t)
		defer h.close(t)
		defer other.close(t)
		start := time.Now()
		_, err := h.dial(h.socket(clientAddr(1)), append(h.clientOptions(), dtls.WithCertificates(other.ca.Client("a").TLS())))
		if err == nil {
			t.Error("a client of another authority is let in")
		}
		if wait := time.Since(start); wait > time.Second {
			t.Errorf("the client was told after %v", wait)
		}
		if err := <-h.failures; err == nil {
			t.Error("no error")
		}
		h.wantKnown(t, 0, 0)
	})
}

// TestStopAccepting: nobody new is let in, and sessions live on.
func TestStopAccepting(t *testing.T) {
	withBoth(t, func(t *testing.T, path func(*Config)) {
		h := newHouse(t, path)
		defer h.close(t)
		c, _ := h.client(t, clientAddr(1))
		h.front.StopAccepting()
		if _, err := h.front.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept() = %v", err)
		}
		if _, err := h.dial(h.socket(clientAddr(2)), h.clientOptions()); err == nil {
			t.Error("a new client is let in")
		}
		echo(t, c, "ping")
		h.wantKnown(t, 1, 0)
		_ = c.Close()
		<-h.ended
	})
}
