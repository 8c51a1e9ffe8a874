package coap

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/dtls/v3"
)

// restarts is a server in memory for a client without connection ID that uses one address all the time.
type restarts struct {
	demux    *dtlsDemux
	client   *memSocket
	sessions chan *Session
	failures chan error
	stop     func()
}

func newRestarts(t *testing.T) *restarts {
	t.Helper()
	var n memNet
	r := &restarts{client: n.socket(2), sessions: make(chan *Session, 4)}
	r.demux = newDTLSDemux(n.socket(1), new(Counters))
	r.failures, r.stop = virtualServer(t, udpAcceptor{r.demux}, ServerConfig{
		Network: NetworkUDP, Credentials: keysOnly(t, "", map[string]string{"client1": "secret one"}),
		Session: SessionConfig{Handler: newShelf()},
		OnSession: func(s *Session) error {
			r.sessions <- s
			return nil
		},
	})
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
		if r.demux.known() != 1 {
			t.Errorf("%d associations, want 1", r.demux.known())
		}
		_ = conn.Close()
		synctest.Wait()
		if r.demux.known() != 0 {
			t.Errorf("%d associations after the end, want 0", r.demux.known())
		}
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
		socket := r.demux.socket.(*memSocket)
		for range 3 {
			socket.inject(helloDatagram(), memAddr(2))
			ping()
		}
		if !r.demux.succeeded(t, memAddr(2)) {
			t.Error("the hello opened no second association")
		}
		if err := <-r.failures; err == nil {
			t.Error("no error of the forged handshake")
		}
		synctest.Wait()
		if r.demux.succeeded(t, memAddr(2)) {
			t.Error("the second association is still known")
		}
		ping()

		// When the old one ends first, the attempt keeps the address.
		socket.inject(helloDatagram(), memAddr(2))
		synctest.Wait()
		_ = conn.Close()
		<-session.Done()
		synctest.Wait()
		if r.demux.known() != 1 {
			t.Errorf("%d associations, want 1", r.demux.known())
		}
		<-r.failures
		synctest.Wait()
		if r.demux.known() != 0 {
			t.Errorf("%d associations at the end, want 0", r.demux.known())
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
