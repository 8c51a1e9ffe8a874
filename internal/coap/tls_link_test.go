package coap

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dotsgate/dotsgate/internal/testpki"
)

// tlsPair shakes hands over a pipe, which holds nothing: a write waits for its read. The pump is not started.
func tlsPair(t *testing.T) (link *tlsLink, peer *tls.Conn) {
	t.Helper()
	ca := testpki.New(t, "root")
	server := credentialsOf(t, ca, ca.Server()).current.Load()
	client, err := credentialsOf(t, ca, ca.Client("a.example")).current.Load().tlsClientFor("localhost")
	if err != nil {
		t.Fatal(err)
	}
	client.MaxVersion = tls.VersionTLS12 // no session tickets that nobody reads
	near, far := net.Pipe()
	peer = tls.Client(far, client)
	shaken := make(chan error, 1)
	go func() { shaken <- peer.HandshakeContext(t.Context()) }()
	conn, err := tlsIncoming{conn: near}.secure(t.Context(), server)
	if err != nil {
		t.Fatalf("server: %v", err)
	}
	if err := <-shaken; err != nil {
		t.Fatalf("client: %v", err)
	}
	return conn.(*tlsLink), peer
}

func TestTLSLinkSendsQueuedAtClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		link, peer := tlsPair(t)
		for _, text := range []string{"one ", "two ", "three"} {
			if err := link.WriteRecord([]byte(text)); err != nil {
				t.Fatalf("WriteRecord() = %v", err)
			}
		}
		if err := link.Close(); err != nil {
			t.Errorf("Close() = %v", err)
		}
		if err := link.Close(); err != nil {
			t.Errorf("second Close() = %v", err)
		}
		if err := link.WriteRecord([]byte("late")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("WriteRecord() = %v after Close", err)
		}
		go link.pump()
		got, err := io.ReadAll(peer)
		if err != nil || string(got) != "one two three" {
			t.Errorf("the peer got %q, %v", got, err)
		}
	})
}

func TestTLSLinkNeverBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		link, peer := tlsPair(t)
		pumped := make(chan struct{})
		go func() {
			link.pump()
			close(pumped)
		}()
		chunk := make([]byte, 64<<10)
		start := time.Now()
		var err error
		for range 2*maxSendQueue/len(chunk) + 1 {
			if err = link.WriteRecord(chunk); err != nil {
				break
			}
		}
		if !errors.Is(err, ErrSendQueueFull) {
			t.Errorf("WriteRecord() = %v, want the queue full", err)
		}
		<-pumped
		if got := time.Since(start); got != 0 {
			t.Errorf("it took %v", got)
		}
		if got, _ := io.ReadAll(peer); len(got) != 0 {
			t.Errorf("the peer still got %d bytes", len(got))
		}
	})
}

func TestTLSLinkPeerDoesNotRead(t *testing.T) {
	tests := []struct {
		name  string
		close bool
		want  time.Duration
	}{
		// crypto/tls itself waits up to 5 s more for its close_notify, unless a write has failed.
		{"while the session lives", false, 10 * time.Second},
		{"at the end of the session", true, 2 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				link, _ := tlsPair(t)
				start := time.Now()
				if err := link.WriteRecord([]byte("unread")); err != nil {
					t.Fatal(err)
				}
				if tt.close {
					_ = link.Close()
				}
				link.pump()
				if got := time.Since(start); got != tt.want {
					t.Errorf("the connection was given up after %v, want %v", got, tt.want)
				}
				if err := link.WriteRecord([]byte("late")); !errors.Is(err, net.ErrClosed) {
					t.Errorf("WriteRecord() = %v", err)
				}
			})
		})
	}
}

// A peer that takes a little all the time is no peer that does not read, however much is queued for it.
func TestTLSLinkPeerReadsSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		link, peer := tlsPair(t)
		want := pattern(10 * tlsWriteSize)
		if err := link.WriteRecord(want); err != nil {
			t.Fatal(err)
		}
		pumped := make(chan struct{})
		go func() {
			link.pump()
			close(pumped)
		}()
		got := make([]byte, len(want))
		for i := range 10 {
			time.Sleep(tlsWriteTimeout - time.Second)
			if n, err := io.ReadFull(peer, got[i*tlsWriteSize:(i+1)*tlsWriteSize]); err != nil {
				t.Fatalf("part %d: %d bytes, %v", i, n, err)
			}
		}
		if !bytes.Equal(got, want) {
			t.Error("the peer got something else")
		}
		go func() { _, _ = io.Copy(io.Discard, peer) }()
		_ = link.Close()
		<-pumped
		_ = peer.Close()
	})
}

func TestTLSLinkReason(t *testing.T) {
	reset := &net.OpError{Op: "write", Err: syscall.ECONNRESET}
	other := errors.New("other")
	tests := []struct {
		cause, err, want error
	}{
		{nil, io.EOF, io.EOF},
		{nil, reset, io.EOF},
		{nil, other, other},
		{reset, net.ErrClosed, io.EOF},
		{&net.OpError{Op: "write", Err: syscall.EPIPE}, net.ErrClosed, io.EOF},
		{ErrSendQueueFull, net.ErrClosed, ErrSendQueueFull},
	}
	for _, tt := range tests {
		if got := (&tlsLink{cause: tt.cause}).reason(tt.err); !errors.Is(got, tt.want) {
			t.Errorf("cause %v, read %v: got %v, want %v", tt.cause, tt.err, got, tt.want)
		}
	}
}

func TestTLSLinkTransfer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		link, peer := tlsPair(t)
		go link.pump()
		want := bytes.Repeat([]byte("0123456789"), 2000)
		go func() {
			for rest := want; len(rest) > 0; rest = rest[1000:] {
				_ = link.WriteRecord(rest[:1000])
			}
		}()
		got := make([]byte, len(want))
		if _, err := io.ReadFull(peer, got); err != nil || !bytes.Equal(got, want) {
			t.Errorf("the peer got %d bytes, %v", len(got), err)
		}
		go func() { _, _ = peer.Write([]byte("back")) }()
		buf := make([]byte, 10)
		if n, err := link.read(buf); err != nil || string(buf[:n]) != "back" {
			t.Errorf("read %q, %v", buf[:n], err)
		}
		if !link.Reliable() || link.identity().Names[0] != "a.example" || link.RemoteAddr() == nil || link.LocalAddr() == nil {
			t.Error("the link does not describe itself")
		}
		go func() { _, _ = io.Copy(io.Discard, peer) }()
		_ = link.Close()
		if _, err := link.read(buf); err == nil {
			t.Error("a read after Close succeeded")
		}
		_ = peer.Close()
	})
}
