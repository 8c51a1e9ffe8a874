package coap

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dotsgate/dotsgate/internal/pressure"
	"github.com/dotsgate/dotsgate/internal/testpki"
)

// conn is a connection from somewhere.
type connFrom struct {
	net.Conn
	remote net.Addr
}

func (c connFrom) RemoteAddr() net.Addr { return c.remote }

// from puts a connection from an address into the listener, and returns its other end.
func (l *queueListener) from(address string) net.Conn {
	near, far := net.Pipe()
	l.conns <- connFrom{near, net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(address), 4000))}
	synctest.Wait()
	return far
}

// closed reports whether the other end has closed the connection, waiting for nothing.
func closed(c net.Conn) bool {
	_ = c.SetReadDeadline(time.Now().Add(time.Nanosecond))
	_, err := c.Read(make([]byte, 1))
	return errors.Is(err, io.EOF)
}

// door runs a TCP door in a bubble.
func door(t *testing.T, cfg ServerConfig, test func(l *queueListener, a *tcpAcceptor)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := newQueueListener()
		cfg.Network, cfg.Session.Counters = NetworkTCP, new(Counters)
		a := newTCPAcceptor(l, cfg)
		ran := make(chan struct{})
		go func() { a.run(); close(ran) }()
		test(l, a)
		a.stopAccepting()
		<-ran
		if got := a.held.Stats(); got.Fill != 0 {
			t.Errorf("%d sources hold something after the end", got.Fill)
		}
	})
}

func TestSourcesAreHeldToTheirRate(t *testing.T) {
	cfg := ServerConfig{Sources: SourceLimits{Rate: 1, Burst: 3}}
	door(t, cfg, func(l *queueListener, a *tcpAcceptor) {
		for i, want := range []bool{false, false, false, true, true} {
			c := l.from("192.0.2.1")
			if got := closed(c); got != want {
				t.Errorf("connection %d is closed: %v", i, got)
			}
			_ = c.Close()
		}
		if closed(l.from("192.0.2.2")) {
			t.Error("another source pays for it")
		}
		time.Sleep(time.Second)
		if closed(l.from("192.0.2.1")) || !closed(l.from("192.0.2.1")) {
			t.Error("after a second there is room for one")
		}
		for range 10 {
			if closed(l.from("127.0.0.1")) || closed(l.from("::1")) {
				t.Error("this machine is counted")
			}
		}
		if got := a.cfg.Session.Counters.SourcesRefused.Load(); got != 3 {
			t.Errorf("%d refusals counted, want 3", got)
		}
	})
}

func TestSourcesHoldFewHandshakes(t *testing.T) {
	door(t, ServerConfig{Sources: SourceLimits{Handshakes: 2}}, func(l *queueListener, a *tcpAcceptor) {
		first, second := l.from("2001:db8::1"), l.from("2001:db8:0:1::1") // one /56
		if closed(first) || closed(second) || !closed(l.from("2001:db8:0:2::1")) {
			t.Error("a source holds two")
		}
		if closed(l.from("2001:db8:1::1")) {
			t.Error("another source pays for it")
		}
		_ = first.Close() // it gives up
		synctest.Wait()
		if closed(l.from("2001:db8:0:3::1")) {
			t.Error("no room for another one")
		}
		// What has arrived is held until its handshake is over.
		go func() { _, _ = second.Write(tlsRecordOf(22, 100)) }()
		in, _, err := a.accept()
		if err != nil {
			t.Fatal(err)
		}
		if !closed(l.from("2001:db8:0:4::1")) {
			t.Error("a source holds three")
		}
		s := &Server{acceptor: a, handshakes: newHandshakes(1)}
		if got := s.DoorStatus(); got.Handshakes != 2 || got.Holders.Fill != 2 || got.Starts.Fill != 2 {
			t.Errorf("DoorStatus() = %+v", got)
		}
		in.discard()
		if closed(l.from("2001:db8:0:5::1")) {
			t.Error("no room after the handshake")
		}
	})
}

func TestHandshakesAreShed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		g := pressure.New(pressure.Config{Process: func() pressure.Reading { return pressure.Reading{Queue: 0.75} }})
		ended := make(chan error, 1)
		go func() { ended <- g.Run(ctx) }()
		time.Sleep(time.Second)
		l := newQueueListener()
		a := newTCPAcceptor(l, ServerConfig{Pressure: g, Session: SessionConfig{Counters: new(Counters)}})
		go a.run()
		if !closed(l.from("192.0.2.1")) || !closed(l.from("127.0.0.1")) {
			t.Error("a connection was taken")
		}
		if got := g.Stats().Shed[pressure.ShedHandshakes]; got != 2 {
			t.Errorf("%d counted, want 2", got)
		}
		a.stopAccepting()
		cancel()
		<-ended
	})
}

// A stranger that was there for longest gives way to newer ones, and the deadline spares nobody.
func TestStrangersGiveWay(t *testing.T) {
	door(t, ServerConfig{MaxHandshakes: 2, HandshakeTimeout: 5 * time.Second}, func(l *queueListener, a *tcpAcceptor) {
		first, second, third := l.from("192.0.2.1"), l.from("192.0.2.2"), l.from("192.0.2.3")
		if !closed(first) || closed(second) || closed(third) {
			t.Error("the oldest one of three gives way")
		}
		for range 4 {
			time.Sleep(time.Second)
			_, _ = second.Write([]byte{22}) // byte by byte
			if closed(second) {
				t.Error("closed before its time")
			}
		}
		time.Sleep(time.Second)
		if !closed(second) || !closed(third) {
			t.Error("open after the deadline")
		}
		if got := a.cfg.Session.Counters.HandshakeFailures.Load(); got != 3 {
			t.Errorf("%d failures counted, want 3", got)
		}
	})
}

// 16 KB of heap and stack are the most that a connection may hold before its handshake.
func TestATrickleHoldsLittle(t *testing.T) {
	const each = 500
	ca := testpki.New(t, "root")
	for _, what := range []struct {
		name string
		send []byte
	}{{"nothing", nil}, {"a byte", []byte{22}}, {"half a hello", tlsRecordOf(22, 1500)[:800]}} {
		t.Run(what.name, func(t *testing.T) {
			noLeaks(t)
			l, err := Listen(ServerConfig{Network: NetworkTCP, Address: "127.0.0.1:0", Credentials: credentialsOf(t, ca, ca.Server())})
			if err != nil {
				t.Fatal(err)
			}
			runUntilEnd(t, l.Run)
			mustDial(t, DialConfig{Network: NetworkTCP, Address: l.Addr().String(), Credentials: credentialsOf(t, ca, ca.Client("a"))})
			before, running := footprint(), runtime.NumGoroutine()
			silentPeersSending(t, l, each, what.send)
			for runtime.NumGoroutine() < running+each { // all are waited for
				time.Sleep(time.Millisecond)
			}
			got := (footprint() - before) / each
			t.Logf("%d bytes each", got)
			if got > 16<<10 {
				t.Errorf("%d bytes for each connection", got)
			}
		})
	}
}

// footprint is the heap and the stacks in use, in bytes.
func footprint() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc + m.StackInuse)
}

// silentPeersSending are peers that send something and then say nothing.
func silentPeersSending(t *testing.T, l *Server, n int, first []byte) {
	t.Helper()
	for range n {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		_, _ = c.Write(first)
	}
}
