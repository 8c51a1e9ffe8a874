package coap

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dotsgate/dotsgate/internal/testpki"
)

// tlsPair shakes hands over a pipe, which holds nothing: a write waits for its read.
func tlsPair(t *testing.T) (link *tlsLink, peer *tls.Conn) {
	t.Helper()
	near, far := net.Pipe()
	return tlsPairOver(t, near, far)
}

// tcpPair is a connection over the loopback interface.
func tcpPair(t *testing.T) (near, far net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if far, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if near, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = near.Close(); _ = far.Close() })
	return near, far
}

// tlsPairOver shakes hands over a connection, near as the server.
func tlsPairOver(t *testing.T, near, far net.Conn) (link *tlsLink, peer *tls.Conn) {
	t.Helper()
	ca := testpki.New(t, "root")
	server := credentialsOf(t, ca, ca.Server()).current.Load()
	client, err := credentialsOf(t, ca, ca.Client("a.example")).current.Load().tlsClientFor("localhost")
	if err != nil {
		t.Fatal(err)
	}
	client.MaxVersion = tls.VersionTLS12 // no session tickets that nobody reads
	peer = tls.Client(far, client)
	shaken := make(chan error, 1)
	go func() { shaken <- peer.HandshakeContext(t.Context()) }()
	conn, err := tlsIncoming{wire: newTLSWire(near, newTLSCommon(1))}.secure(t.Context(), server)
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
		got, err := io.ReadAll(peer)
		if err != nil || string(got) != "one two three" {
			t.Errorf("the peer got %q, %v", got, err)
		}
	})
}

func TestTLSLinkNeverBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		link, peer := tlsPair(t)
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
		link.drain()
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
				link.drain()
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
		link.drain()
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
		if got := (&tlsLink{wire: &tlsWire{cause: tt.cause}}).reason(tt.err); !errors.Is(got, tt.want) {
			t.Errorf("cause %v, read %v: got %v, want %v", tt.cause, tt.err, got, tt.want)
		}
	}
}

// fed lets the link push and passes on what comes in, and how it ended.
func fed(link *tlsLink) (in chan string, ended chan error) {
	in, ended = make(chan string, 8), make(chan error, 1)
	link.push(func(b []byte) { in <- string(b) }, func(err error) { ended <- err })
	return in, ended
}

func TestTLSLinkTransfer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		link, peer := tlsPair(t)
		in, ended := fed(link)
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
		if got := <-in; got != "back" {
			t.Errorf("read %q", got)
		}
		if !link.Reliable() || link.identity().Names[0] != "a.example" || link.RemoteAddr() == nil || link.LocalAddr() == nil {
			t.Error("the link does not describe itself")
		}
		go func() { _, _ = io.Copy(io.Discard, peer) }()
		_ = link.Close()
		link.drain()
		if err := <-ended; err == nil {
			t.Error("feeding went on after Close")
		}
		_ = peer.Close()
	})
}

// What is sent while records are acted on leaves in one record when that is over.
func TestTLSLinkAnswersTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		link, peer := tlsPair(t)
		ended := make(chan error, 1)
		link.push(func(b []byte) {
			for range 3 {
				_ = link.WriteRecord(b)
				synctest.Wait() // whoever might send it has had the time
			}
		}, func(err error) { ended <- err })
		go func() { _, _ = peer.Write([]byte("ab")) }()
		got := make([]byte, 100)
		if n, err := peer.Read(got); err != nil || string(got[:n]) != "ababab" {
			t.Errorf("the peer got %q first, %v", got[:n], err)
		}
		_ = peer.Close()
		if err := <-ended; !errors.Is(err, io.EOF) {
			t.Errorf("feeding ended with %v", err)
		}
		_ = link.Close()
		link.drain()
	})
}

// Over a real socket nothing waits for the peer either: what the system does not take is sent by and by.
func TestTLSLinkOverASocket(t *testing.T) {
	near, far := tcpPair(t)
	link, peer := tlsPairOver(t, near, far)
	in, ended := fed(link)
	want := pattern(200 << 10)
	for part := range slices.Chunk(want, 1000) {
		if err := link.WriteRecord(part); err != nil {
			t.Fatalf("WriteRecord() = %v", err)
		}
	}
	_ = link.Close()
	got, err := io.ReadAll(peer)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("the peer got %d bytes of %d, %v", len(got), len(want), err)
	}
	link.drain()
	if err := <-ended; err == nil {
		t.Error("feeding went on after Close")
	}
	if len(in) != 0 {
		t.Errorf("read %q", <-in)
	}
}
