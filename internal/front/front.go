package front

import (
	"context"
	"errors"
	"net"
)

// Front proves addresses, opens handshakes and carries the records of sessions. Its methods are safe for concurrent use.
type Front struct{ cfg Config }

// New makes a front. Nothing is read before Run. It tries the hand-over to the library (SelfTest); where that fails, the
// front works as a gate, and cfg.Alarm is told.
func New(cfg Config) (*Front, error) { return &Front{cfg: cfg}, nil }

// Run reads the network until ctx ends; then Accept returns net.ErrClosed and nobody new is let in, but those who are
// there live on until Close. It returns after Close. Called once.
func (f *Front) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// Accept waits for a peer whose address is proven and whose handshake has not begun. It returns net.ErrClosed after the end
// of Run's context, or Close. Whoever it returns is to be shaken hands with, or closed.
func (f *Front) Accept() (*Conn, error) { return nil, net.ErrClosed }

// StopAccepting ends Accept and lets nobody new in. Those who are there live on.
func (f *Front) StopAccepting() {}

// Close ends all and waits for Run's reader. Sessions should have been closed before: they get no close_notify by it.
func (f *Front) Close() error { return errors.New("not yet") }

// Addr is our address.
func (f *Front) Addr() net.Addr { return f.cfg.Network.Addr() }

// Gated reports whether the front works as a gate only.
func (f *Front) Gated() bool { return false }
