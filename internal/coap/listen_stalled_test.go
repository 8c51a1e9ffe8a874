package coap

import (
	"context"
	"crypto/tls"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/pion/dtls/v3"

	"github.com/dotsgate/dotsgate/internal/testpki"
)

// stalled is a server with a well-behaved client, and one that never reads what it is sent.
type stalled struct {
	good      *Session
	mute      net.Conn
	server    *Session       // the server's side of the mute one
	observers chan *Observer // of what the mute one observes
}

// stall joins the two. What the mute client observes or asks for is large.
func stall(t *testing.T, network string) *stalled {
	t.Helper()
	ca := testpki.New(t, "root")
	s := &stalled{observers: make(chan *Observer, 1)}
	handler := HandlerFunc(func(ex *Exchange) {
		if ex.Request().Options.Has(Observe) {
			s.observers <- ex.Observe(state("0"), nil)
			return
		}
		echoHandler(ex)
	})
	l := serve(t, ServerConfig{
		Network: network, Credentials: credentialsOf(t, ca, ca.Server()),
		Session: SessionConfig{Handler: handler, Limits: Limits{NotifyInterval: -1, MaxMessage: 64 << 10}},
	})
	s.good = mustDial(t, DialConfig{
		Network: network, Address: l.Addr().String(), ServerName: "localhost", Credentials: credentialsOf(t, ca, ca.Client("good.example")),
	})
	l.session(t)
	leaf := ca.Client("mute.example")
	certificate := tls.Certificate{Certificate: [][]byte{leaf.Cert.Raw}, PrivateKey: leaf.Key}
	if network == NetworkTCP {
		conn, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{
			RootCAs: ca.Pool(), ServerName: "localhost", Certificates: []tls.Certificate{certificate}, NextProtos: []string{alpnCoAP},
		})
		if err != nil {
			t.Fatal(err)
		}
		s.mute = conn
	} else {
		conn, err := dtls.DialWithOptions("udp", l.Addr().(*net.UDPAddr),
			dtls.WithRootCAs(ca.Pool()), dtls.WithServerName("localhost"), dtls.WithCertificates(certificate))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if err := conn.HandshakeContext(ctx); err != nil {
			t.Fatal(err)
		}
		s.mute = conn
	}
	t.Cleanup(func() { _ = s.mute.Close() })
	s.server = l.session(t)
	return s
}

// send writes what the mute client sends.
func (s *stalled) send(t *testing.T, b []byte) {
	t.Helper()
	if _, err := s.mute.Write(b); err != nil {
		t.Fatal(err)
	}
}

// works checks that the other session is answered as if nothing were.
func (s *stalled) works(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if m, err := s.good.Do(ctx, put([]byte("hello"), "a")); err != nil || string(m.Payload) != "hello" {
		t.Fatalf("another session got %v, %v", m, err)
	}
}

// within fails the test when what must never wait takes longer than patience.
func within(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatalf("%s is stalled", what)
	}
}

// A peer that does not read what it is told costs its own session at most, and nobody waits for it.
func TestNotifyingAPeerThatNeverReads(t *testing.T) {
	big := &Message{Code: Content, Payload: pattern(32 << 10)}
	t.Run("tcp", func(t *testing.T) {
		s := stall(t, NetworkTCP)
		s.send(t, slices.Concat(tcp(codeCSM, "", "", num(csmMaxMessageSize, 64<<10), opt(csmBlockWise, "")), tcp(GET, "t", "", num(Observe, 0))))
		o := <-s.observers
		within(t, "notifying", func() {
			for s.server.Err() == nil {
				o.Notify(big)
			}
		})
		wantEnd(t, s.server, ErrSendQueueFull)
		s.works(t)
	})
	t.Run("udp", func(t *testing.T) {
		s := stall(t, NetworkUDP)
		s.send(t, udp(non, GET, 1, "t", "", num(Observe, 0)))
		o := <-s.observers
		within(t, "notifying", func() {
			for range 5000 {
				o.Notify(state("x"))
			}
		})
		if err := s.server.Err(); err != nil {
			t.Errorf("the session ended: %v", err)
		}
		s.works(t)
	})
}

func TestAnsweringAPeerThatNeverReads(t *testing.T) {
	s := stall(t, NetworkTCP)
	s.send(t, tcp(codeCSM, "", "", num(csmMaxMessageSize, 64<<10), opt(csmBlockWise, "")))
	request := tcp(PUT, "t", string(pattern(16<<10)), opt(UriPath, "a"))
	within(t, "answering", func() {
		for s.server.Err() == nil {
			if _, err := s.mute.Write(request); err != nil {
				return // the server has given up
			}
		}
	})
	wantEnd(t, s.server, ErrSendQueueFull)
	s.works(t)
}
