package testdtls

import (
	"context"
	"errors"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/dtls/v3"

	"github.com/dotsgate/dotsgate/internal/record"
	"github.com/dotsgate/dotsgate/internal/testpki"
)

var loopback = &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}

// TestRun: a client's record layer and a server of the library understand each other, both ways.
func TestRun(t *testing.T) {
	ca := testpki.New(t, "ca")
	serverSocket, clientSocket := sockets(t)
	answered := make(chan string, 1)
	go func() { answered <- serveOne(t.Context(), serverSocket, clientSocket.LocalAddr(), ca) }()

	h := New(clientSocket.LocalAddr(), serverSocket.LocalAddr(), func(b []byte) {
		_, _ = clientSocket.WriteTo(b, serverSocket.LocalAddr()) // lost, the handshake fails
	})
	first := make(chan []byte, 1)
	go func() {
		buf := make([]byte, 4096)
		for {
			n, _, err := clientSocket.ReadFrom(buf)
			if err != nil {
				return
			}
			if record.Epoch(buf[:n]) == 1 && buf[0] == byte(record.ApplicationData) {
				first <- append([]byte(nil), buf[:n]...)
				return
			}
			h.Put(buf[:n])
		}
	}()
	var exporter record.Exporter
	layer, err := h.Run(t.Context(), &exporter, []dtls.ClientOption{
		dtls.WithRootCAs(ca.Pool()), dtls.WithServerName("localhost"), dtls.WithCipherSuites(dtls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
	})
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := layer.Seal(nil, record.ApplicationData, []byte("question"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := clientSocket.WriteTo(sealed, serverSocket.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	if got := <-answered; got != "question" {
		t.Fatalf("the server read %q", got)
	}
	kind, plain, _, err := layer.Open(<-first)
	if err != nil || kind != record.ApplicationData || string(plain) != "answer" {
		t.Fatalf("opened %v %q, %v", kind, plain, err)
	}
}

// TestRunEnds: without a server the handshake ends with its context.
func TestRunEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent := 0
		h := New(loopback, loopback, func([]byte) { sent++ })
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		var exporter record.Exporter
		if _, err := h.Run(ctx, &exporter, []dtls.ClientOption{dtls.WithServerName("localhost")}); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("ended with %v", err)
		}
		if sent < 3 { // at 0, 1, 3 and 7 s
			t.Errorf("%d hellos in ten seconds", sent)
		}
	})
}

// TestDeadline: a read ends at its deadline, and goes on after another one is set.
func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(loopback, loopback, func([]byte) {})
		begin := time.Now()
		_ = h.SetReadDeadline(begin.Add(time.Second)) // it cannot fail
		if _, _, err := h.ReadFrom(nil); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(begin) != time.Second {
			t.Fatalf("read ended with %v after %v", err, time.Since(begin))
		}
		_ = h.SetDeadline(time.Time{})
		h.Put([]byte("late"))
		buf := make([]byte, 8)
		if n, from, err := h.ReadFrom(buf); err != nil || string(buf[:n]) != "late" || from != loopback {
			t.Fatalf("read %q from %v, %v", buf[:n], from, err)
		}
		_ = h.Close()
		if _, _, err := h.ReadFrom(buf); !errors.Is(err, net.ErrClosed) {
			t.Fatalf("read after Close: %v", err)
		}
	})
}

// TestPutIsBounded: what the library does not read is lost, and Put never blocks.
func TestPutIsBounded(t *testing.T) {
	h := New(loopback, loopback, func([]byte) {})
	for range mostWaiting + 1 {
		h.Put([]byte{1})
	}
	if got := len(h.in); got != mostWaiting {
		t.Errorf("%d datagrams wait", got)
	}
}

func sockets(t *testing.T) (server, client net.PacketConn) {
	t.Helper()
	var both [2]net.PacketConn
	for i := range both {
		c, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() }) // a test's
		both[i] = c
	}
	return both[0], both[1]
}

// serveOne shakes hands as a server, answers once, and returns what it was asked.
func serveOne(ctx context.Context, socket net.PacketConn, peer net.Addr, ca *testpki.Authority) string {
	conn, err := dtls.ServerWithOptions(socket, peer, dtls.WithCertificates(ca.Server().TLS()))
	if err != nil {
		return err.Error()
	}
	if err := conn.HandshakeContext(ctx); err != nil {
		return err.Error()
	}
	buf := make([]byte, 256)
	n, err := conn.Read(buf)
	if err != nil {
		return err.Error()
	}
	if _, err := conn.Write([]byte("answer")); err != nil {
		return err.Error()
	}
	return string(buf[:n])
}
