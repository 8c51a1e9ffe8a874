package coap

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"
)

// ErrNoALPN says that the TLS peer did not agree on the protocol "coap" where that is required.
var ErrNoALPN = errors.New("peer did not negotiate coap")

// tlsIncoming is an accepted TCP connection whose peer has sent a first record.
type tlsIncoming struct {
	wire        *tlsWire
	until       time.Time // of the handshake; zero: as the context says
	requireALPN bool
	release     func() // gives back the source's place among the handshakes; nil: it has none
}

// secure does the handshake as a server. It closes the connection when it fails.
func (i tlsIncoming) secure(ctx context.Context, s *credentialSet) (securedConn, error) {
	defer i.leave()
	if s.tlsServer == nil {
		return nil, errors.Join(ErrNoCertificate, i.wire.Close())
	}
	if !i.until.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, i.until)
		defer cancel()
	}
	i.wire.common.enter()
	defer i.wire.common.leave()
	return s.shakeTLS(ctx, tls.Server(i.wire, s.tlsServer), i.requireALPN)
}

// discard closes the connection.
func (i tlsIncoming) discard() {
	i.leave()
	_ = i.wire.Close() // nobody to tell
}

func (i tlsIncoming) leave() {
	if i.release != nil {
		i.release()
	}
}

// shakeTLS does the handshake over a wire. It closes the connection when it fails.
func (s *credentialSet) shakeTLS(ctx context.Context, conn *tls.Conn, requireALPN bool) (securedConn, error) {
	wire := conn.NetConn().(*tlsWire)
	// Not HandshakeContext: it keeps a goroutine for each handshake.
	stop := context.AfterFunc(ctx, func() { wire.abandon(context.Cause(ctx)) })
	err := conn.Handshake()
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		if cause := wire.why(); cause != nil {
			err = cause
		}
		return nil, errors.Join(fmt.Errorf("shaking hands over TLS: %w", err), wire.Close())
	}
	state := conn.ConnectionState()
	// RFC 8323, Section 8.2: on a port other than 5684 the protocol is negotiated.
	if requireALPN && state.NegotiatedProtocol != alpnCoAP {
		return nil, errors.Join(ErrNoALPN, conn.Close())
	}
	peer, err := tlsIdentity(state)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	by, err := s.tlsBelievedBy(state)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	s.attest(&peer, by)
	wire.settle()
	return &tlsLink{conn: conn, wire: wire, peer: peer}, nil
}

// dialTLS connects and does the handshake as a client.
func (d *Dialer) dialTLS(ctx context.Context, s *credentialSet, to Place) (securedConn, error) {
	c, err := s.tlsClientFor(to.Name)
	if err != nil {
		return nil, err
	}
	raw, err := d.from.stream(ctx, d.address(to))
	if err != nil {
		return nil, err
	}
	return s.shakeTLS(ctx, tls.Client(newTLSWire(raw, d.tls), c), d.cfg.RequireALPN)
}
