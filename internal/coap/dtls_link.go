package coap

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"

	"github.com/pion/dtls/v3"

	"github.com/dotsgate/dotsgate/internal/record"
)

// dtlsLink is a session's way out and in over a finished DTLS handshake.
type dtlsLink struct {
	conn     *dtls.Conn
	peer     Identity
	counters *Counters
}

// dtlsEnd is what shakeDTLS needs to know of its end of the association.
type dtlsEnd struct {
	settle   func()
	counters *Counters
	identity string          // the pre-shared key identity that a dialer shows
	own      *dtlsSocket     // a dialer's
	attest   func(*Identity) // adds what the peer was believed by; nil: nobody asks
}

func shakeDTLS(ctx context.Context, conn *dtls.Conn, end dtlsEnd) (securedConn, error) {
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("shaking hands over DTLS: %w", err), conn.Close())
	}
	end.settle()
	state, ok := conn.ConnectionState()
	if !ok {
		return nil, errors.Join(errNoDTLSState, conn.Close())
	}
	peer, err := dtlsIdentity(&state, end.identity)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	if end.attest != nil {
		end.attest(&peer)
	}
	if end.own != nil && end.own.suits(&state) {
		return end.own.takeOver(conn, peer)
	}
	return &dtlsLink{conn: conn, peer: peer, counters: end.counters}, nil
}

// dialDTLS does the handshake as a client, over a socket for each attempt.
func (d *Dialer) dialDTLS(ctx context.Context, s *credentialSet, to Place) (securedConn, error) {
	addr, err := d.resolved(ctx, to)
	if err != nil {
		return nil, err
	}
	return firstOf(ctx, d.cfg.Beside, func(ctx context.Context) (securedConn, error) {
		socket, err := d.from.packet(ctx, addr)
		if err != nil {
			return nil, err
		}
		own := &dtlsSocket{PacketConn: socket, server: addr, counters: d.cfg.Session.Counters, records: d.records, pathMTU: d.cfg.PathMTU}
		return clientDTLS(ctx, s, own, to.Name)
	})
}

// resolved is where the datagrams to a place go.
func (d *Dialer) resolved(ctx context.Context, to Place) (*net.UDPAddr, error) {
	if to.Addr.IsValid() {
		return net.UDPAddrFromAddrPort(to.Addr), nil
	}
	return resolveUDP(ctx, d.cfg.Address, d.from)
}

// clientDTLS does the handshake as a client over the socket, which it closes when it fails.
func clientDTLS(ctx context.Context, s *credentialSet, own *dtlsSocket, name string) (securedConn, error) {
	opts, err := s.dtlsClientOptions(name, own.pathMTU)
	if err != nil {
		return nil, errors.Join(err, own.Close())
	}
	conn, err := dtls.ClientWithOptions(own, own.server, opts...)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("preparing a DTLS handshake: %w", err), own.Close())
	}
	settle := func() { own.settled.Store(true) }
	return shakeDTLS(ctx, conn, dtlsEnd{settle: settle, counters: own.counters, identity: s.cfg.PSKIdentity, own: own})
}

// resolveUDP returns the first address of the server that can be reached from where the dialer is bound.
func resolveUDP(ctx context.Context, address string, from binding) (*net.UDPAddr, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("reading the server's address: %w", err)
	}
	number, err := net.DefaultResolver.LookupPort(ctx, "udp", port)
	if err != nil {
		return nil, fmt.Errorf("reading the server's port: %w", err)
	}
	addrs, err := net.DefaultResolver.LookupIPAddr(ctx, host)
	if err != nil {
		return nil, fmt.Errorf("resolving the server: %w", err)
	}
	for _, a := range addrs {
		if from.suits(a.IP) {
			return &net.UDPAddr{IP: a.IP, Zone: a.Zone, Port: number}, nil
		}
	}
	if len(addrs) > 0 {
		return nil, fmt.Errorf("resolving the server: no address of %s can be reached from the source %v", host, from.source)
	}
	return nil, fmt.Errorf("resolving the server: no address of %s", host)
}

// addrPort is an address of UDP or TCP as a map key, the same for an IPv4 address and its IPv4-mapped form.
func addrPort(a net.Addr) (netip.AddrPort, bool) {
	u, ok := a.(interface{ AddrPort() netip.AddrPort })
	if !ok {
		return netip.AddrPort{}, false
	}
	p := u.AddrPort()
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port()), true
}

// datagramWriter sends for an association. Once its handshake is over (settled) an error of the system counts as loss
// on the way; before, it ends the attempt.
type datagramWriter struct {
	socket   net.PacketConn
	settled  bool
	counters *Counters
}

func (w datagramWriter) send(b []byte, to net.Addr) (int, error) {
	if !w.settled {
		_, err := w.socket.WriteTo(record.UnwrapAlert(b), to)
		return len(b), err
	}
	if _, err := w.socket.WriteTo(b, to); errors.Is(err, net.ErrClosed) {
		return 0, err
	} else if err != nil {
		w.counters.WriteErrors.Add(1)
	}
	return len(b), nil
}

// WriteRecord sends b as one datagram.
func (l *dtlsLink) WriteRecord(b []byte) error {
	_, err := l.conn.Write(b)
	return err
}

// Close sends close_notify and frees the association.
func (l *dtlsLink) Close() error { return l.conn.Close() }

// LocalAddr is our address.
func (l *dtlsLink) LocalAddr() net.Addr { return l.conn.LocalAddr() }

// RemoteAddr is the peer's address of the moment: with a connection ID it may change.
func (l *dtlsLink) RemoteAddr() net.Addr { return l.conn.RemoteAddr() }

// Reliable is false.
func (l *dtlsLink) Reliable() bool { return false }

func (l *dtlsLink) identity() Identity { return l.peer }

// pump has nothing to do: datagrams are sent at once.
func (l *dtlsLink) pump() {}

// read waits for the next datagram of the peer. Only the end of the association is an error: anything else that the
// library reports is one bad record, and the next may be good.
func (l *dtlsLink) read(b []byte) (int, error) {
	for {
		n, err := l.conn.Read(b)
		if err == nil {
			return n, nil
		}
		if isDTLSEnd(err) {
			return 0, io.EOF
		}
		l.counters.Malformed.Add(1)
	}
}
