package coap

import "net"

// Link is what a session writes to. The session makes one call at a time and holds its own lock meanwhile, so a
// link never calls back into the session from these methods.
type Link interface {
	// WriteRecord sends one datagram over UDP, or the bytes of whole messages over TCP. b is only valid during the
	// call. It must not block for long: a link over TCP queues a bounded amount or sets a write deadline. An error over
	// TCP ends the session; over UDP it is counted and taken as loss.
	WriteRecord(b []byte) error
	// Close sends close_notify where there is one and gives the transport up. It may be called more than once.
	Close() error
	// LocalAddr is our address.
	LocalAddr() net.Addr
	// RemoteAddr is the peer's address.
	RemoteAddr() net.Addr
	// Reliable reports a byte stream (TLS/TCP) rather than datagrams.
	Reliable() bool
}

// Handler answers the peer's requests.
type Handler interface {
	// ServeCoAP is called on the session's input path, one request after the other: it must not block. The answer is
	// given with ex.Respond, from any goroutine, now or later.
	ServeCoAP(ex *Exchange)
}

// HandlerFunc makes a Handler of a function.
type HandlerFunc func(ex *Exchange)

// ServeCoAP calls f.
func (f HandlerFunc) ServeCoAP(ex *Exchange) { f(ex) }
