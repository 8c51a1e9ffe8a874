package coap

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/dtls/v3"

	"github.com/dotsgate/dotsgate/internal/front"
)

// restarts is a server in memory for a client without connection ID that uses one address all the time.
type restarts struct {
	door     *front.Counters
	server   *memSocket
	client   *memSocket
	sessions chan *Session
	failures chan error
	stop     func()
}

func newRestarts(t *testing.T) *restarts {
	t.Helper()
	var n memNet
	r := &restarts{door: new(front.Counters), server: n.socket(1), client: n.socket(2), sessions: make(chan *Session, 4)}
	r.failures, r.stop = virtualServer(t, nil, ServerConfig{
		Network: NetworkUDP, Credentials: keysOnly(t, "", map[string]string{"client1": "secret one"}),
		Session: SessionConfig{Handler: newShelf()}, Front: FrontConfig{Counters: r.door},
		OnSession: func(s *Session) error {
			r.sessions <- s
			return nil
		},
	}, r.server)
	return r
}

// connect does a handshake as a client that remembers nothing.
func (r *restarts) connect(t *testing.T, key string) (*dtls.Conn, error) {
	t.Helper()
	conn, err := dtls.ClientWithOptions(r.client, memAddr(1),
		dtls.WithPSK(func([]byte) ([]byte, error) { return []byte(key), nil }), dtls.WithPSKIdentityHint([]byte("client1")),
		dtls.WithCipherSuites(dtls.TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256),
	)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	return conn, conn.HandshakeContext(ctx)
}

// vanish makes the client forget its association without a word.
func (r *restarts) vanish(t *testing.T, conn *dtls.Conn) {
	t.Helper()
	r.client.net.mu.Lock()
	delete(r.client.net.sockets, memAddr(2).String())
	r.client.net.mu.Unlock()
	r.client.setFail(context.Canceled)
	_ = conn.Close()
	r.client = r.client.net.socket(2)
}

// RFC 6347, Section 4.2.8: a client that lost its state comes back from the same address.
func TestDTLSClientRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRestarts(t)
		defer r.stop()
		conn, err := r.connect(t, "secret one")
		if err != nil {
			t.Fatalf("first handshake: %v", err)
		}
		first := <-r.sessions
		r.vanish(t, conn)

		conn, err = r.connect(t, "secret one")
		if err != nil {
			t.Fatalf("second handshake: %v", err)
		}
		second := <-r.sessions
		synctest.Wait()
		if first.Err() == nil || second.Err() != nil {
			t.Errorf("the old session has %v, the new one %v", first.Err(), second.Err())
		}
		_ = conn.Close()
		<-second.Done()
	})
}

// RFC 6347, Section 4.2.8: the old association lives until the new peer is proven, so forged hellos end nothing.
func TestDTLSForgedRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRestarts(t)
		defer r.stop()
		conn, err := r.connect(t, "secret one")
		if err != nil {
			t.Fatalf("handshake: %v", err)
		}
		session := <-r.sessions
		ping := func() {
			t.Helper()
			heard := session.LastHeard()
			time.Sleep(time.Second)
			if _, err := conn.Write([]byte{0x40, 0, 0, 1}); err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, 64)
			if n, err := conn.Read(buf); err != nil || n != 4 || buf[0] != 0x70 {
				t.Errorf("the ping is answered %x, %v", buf[:n], err)
			}
			if !session.LastHeard().After(heard) {
				t.Error("the session heard nothing")
			}
		}
		for range 3 {
			r.server.inject(helloDatagram(), memAddr(2))
			ping()
		}
		if n, seen := r.door.Proven.Load(), r.door.Verified.Load(); n != 1 || seen != 4 {
			t.Errorf("%d of %d hellos opened something, want the client's alone", n, seen)
		}
	})
}

// A stranger behind the same address, who has no key, does not take the session over.
func TestDTLSStrangerAtSameAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRestarts(t)
		defer r.stop()
		conn, err := r.connect(t, "secret one")
		if err != nil {
			t.Fatalf("handshake: %v", err)
		}
		session := <-r.sessions
		r.vanish(t, conn)
		if _, err := r.connect(t, "guess"); err == nil {
			t.Error("a handshake with a wrong key succeeded")
		}
		<-r.failures
		if err := session.Err(); err != nil {
			t.Errorf("the old session ended: %v", err)
		}
	})
}

// helloDatagram is a well-formed ClientHello without a cookie.
func helloDatagram() []byte {
	body := append([]byte{0xfe, 0xfd}, make([]byte, 32+1+1)...) // version, random, no session, no cookie
	body = append(body, 0, 2, 0xc0, 0x2b, 1, 0)                 // one suite, no compression
	body = append(body, 0, 44, 0, 21, 0, 40)                    // an extension of padding
	body = append(body, make([]byte, 40)...)
	size := byte(len(body))
	b := []byte{22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 12 + size, 1, 0, 0, size, 0, 0, 0, 0, 0, 0, 0, size}
	return append(b, body...)
}
