package coap

import (
	"context"
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
