package coap

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

// udpAcceptor is DTLS over one UDP socket.
type udpAcceptor struct{ demux *dtlsDemux }

func listenUDP(cfg ServerConfig) (acceptor, error) {
	var lc net.ListenConfig
	socket, err := lc.ListenPacket(context.Background(), "udp", cfg.Address)
	if err != nil {
		return nil, fmt.Errorf("binding: %w", err)
	}
	if u, ok := socket.(*net.UDPConn); ok {
		_ = u.SetReadBuffer(udpReceiveBuffer) // a smaller buffer still works
	}
	return udpAcceptor{newDTLSDemux(socket, cfg.Session.Counters)}, nil
}

func (a udpAcceptor) run() { a.demux.run() }

func (a udpAcceptor) accept() (incoming, net.Addr, error) {
	select {
	case <-a.demux.stopped:
		return nil, nil, net.ErrClosed
	case association := <-a.demux.incoming:
		return dtlsIncoming{association}, association.remote, nil
	}
}

func (a udpAcceptor) stopAccepting() { a.demux.stopAccepting() }

func (a udpAcceptor) close() error { return a.demux.socket.Close() }

func (a udpAcceptor) addr() net.Addr { return a.demux.socket.LocalAddr() }

// tcpAcceptor is TLS over one listening TCP socket.
type tcpAcceptor struct {
	listener    net.Listener
	requireALPN bool
}

func listenTCP(cfg ServerConfig) (acceptor, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(context.Background(), "tcp", cfg.Address)
	if err != nil {
		return nil, fmt.Errorf("binding: %w", err)
	}
	return tcpAcceptor{l, cfg.RequireALPN}, nil
}

func (a tcpAcceptor) run() {}

func (a tcpAcceptor) accept() (incoming, net.Addr, error) {
	c, err := a.listener.Accept()
	if err != nil {
		return nil, nil, err
	}
	return tlsIncoming{c, a.requireALPN}, c.RemoteAddr(), nil
}

func (a tcpAcceptor) stopAccepting() { _ = a.listener.Close() } // close tells

func (a tcpAcceptor) close() error {
	if err := a.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

func (a tcpAcceptor) addr() net.Addr { return a.listener.Addr() }

// The bounds of backoff.
const (
	minBackoff = 5 * time.Millisecond
	maxBackoff = time.Second
)

// backoff is the pause after an error of the system: it doubles up to a second. The zero value is ready.
type backoff struct{ last time.Duration }

func (b *backoff) next() time.Duration {
	b.last = min(max(2*b.last, minBackoff), maxBackoff)
	return b.last
}

func (b *backoff) reset() { b.last = 0 }

// wait pauses, or returns early when ctx ends.
func (b *backoff) wait(ctx context.Context) {
	t := time.NewTimer(b.next())
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
