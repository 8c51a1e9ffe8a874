package aaa

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"layeh.com/radius"
)

const (
	// identifiers bounds the questions under way to a server: the field has 8 bits (RFC 2865, Section 3).
	identifiers = 256
	// reopenAfter is the pause before a socket is opened again, and after an error of the system.
	reopenAfter = 200 * time.Millisecond
)

// Why a server is not asked, or has not answered.
var (
	errNotOpen   = errors.New("socket is not open")
	errAllNumber = errors.New("all identifiers are in use")
	errSilent    = errors.New("no answer")
)

// radiusServer is one server and the socket to it. Safe for concurrent use.
type radiusServer struct {
	address string
	secret  []byte
	meter   Meter

	mu        sync.Mutex
	conn      net.Conn // nil: not open
	pending   map[byte]*pending
	last      byte // identifier given out last
	deadUntil time.Time
}

// pending is a question under way.
type pending struct {
	request []byte        // as sent, every time
	got     chan Decision // capacity 1
}

func newRADIUSServer(address string, secret []byte, meter Meter) *radiusServer {
	return &radiusServer{address: address, secret: secret, meter: meter, pending: make(map[byte]*pending)}
}

// run keeps the socket open and reads what comes, until ctx ends.
func (s *radiusServer) run(ctx context.Context, dial func(context.Context, string) (net.Conn, error)) {
	for ctx.Err() == nil {
		conn, err := dial(ctx, s.address)
		if err != nil {
			pause(ctx, 5*reopenAfter)
			continue
		}
		stop := context.AfterFunc(ctx, func() { _ = conn.Close() }) // ends the read
		s.open(conn)
		s.read(ctx, conn)
		s.open(nil)
		stop()
		_ = conn.Close() // nobody reads from it any more
	}
}

func (s *radiusServer) open(conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conn = conn
}

// read takes answers until the socket is closed. Other errors of the system, such as that nobody listens there, pass.
func (s *radiusServer) read(ctx context.Context, conn net.Conn) {
	b := make([]byte, radius.MaxPacketLength)
	for {
		n, err := conn.Read(b)
		switch {
		case err == nil:
			s.receive(b[:n])
		case errors.Is(err, net.ErrClosed), ctx.Err() != nil:
			return
		default:
			pause(ctx, reopenAfter)
		}
	}
}

// pause waits, but not beyond ctx.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// receive gives an answer to who waits for it. What is not authentic is dropped, and the true answer still awaited.
func (s *radiusServer) receive(datagram []byte) {
	packet := cut(datagram)
	if packet == nil {
		s.meter.Dropped(FaultGarbage)
		return
	}
	s.mu.Lock()
	p := s.pending[packet[1]]
	s.mu.Unlock()
	if p == nil {
		s.meter.Dropped(FaultUnexpected)
		return
	}
	d, fault := readAnswer(packet, p.request, s.secret)
	if fault != "" {
		s.meter.Dropped(fault)
		return
	}
	select {
	case p.got <- d:
	default: // it came twice
		s.meter.Dropped(FaultUnexpected)
	}
}

// exchange asks one question and repeats it, with the same identifier and authenticator, until it is answered or the tries are
// used up; then the server counts as silent.
func (s *radiusServer) exchange(ctx context.Context, avps radius.Attributes, cfg RADIUSConfig) (Decision, error) {
	id, p, err := s.reserve(avps)
	if err != nil {
		return Decision{}, fmt.Errorf("asking %s: %w", s.address, err)
	}
	defer s.release(id)
	again := time.NewTicker(cfg.Interval)
	defer again.Stop()
	for try := range cfg.Tries {
		s.send(p.request)
		select {
		case d := <-p.got:
			s.alive()
			return d, nil
		case <-again.C:
		case <-ctx.Done():
			if try > 0 { // it had its chance
				s.silent(cfg.DeadTime)
			}
			return Decision{}, fmt.Errorf("asking %s: %w", s.address, context.Cause(ctx))
		}
	}
	s.silent(cfg.DeadTime)
	return Decision{}, fmt.Errorf("asking %s: %w", s.address, errSilent)
}

// reserve takes an identifier, the one used longest ago, and makes the packet.
func (s *radiusServer) reserve(avps radius.Attributes) (byte, *pending, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.conn == nil:
		return 0, nil, errNotOpen
	case len(s.pending) == identifiers:
		return 0, nil, errAllNumber
	}
	id := s.last + 1
	for s.pending[id] != nil {
		id++
	}
	request, err := sign(avps, id, s.secret)
	if err != nil {
		return 0, nil, err
	}
	p := &pending{request: request, got: make(chan Decision, 1)}
	s.last, s.pending[id] = id, p
	return id, p, nil
}

// release gives an identifier back: an answer that still comes is unexpected.
func (s *radiusServer) release(id byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.pending, id)
}

// send sends a packet; what cannot be sent is lost, as it may be on the way.
func (s *radiusServer) send(packet []byte) {
	s.mu.Lock()
	conn := s.conn
	s.mu.Unlock()
	if conn != nil {
		_, _ = conn.Write(packet)
	}
}

func (s *radiusServer) alive() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deadUntil = time.Time{}
}

// silent notes that the server does not answer. The first time its socket is opened anew: its name may have moved.
func (s *radiusServer) silent(dead time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	first := !s.deadUntil.After(now)
	s.deadUntil = now.Add(dead)
	if first && s.conn != nil {
		_ = s.conn.Close() // ends the read
		s.conn = nil
	}
}

// dead reports whether the server was silent a while ago.
func (s *radiusServer) dead(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.deadUntil.After(now)
}
