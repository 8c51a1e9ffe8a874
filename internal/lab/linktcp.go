package lab

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/dotsgate/dotsgate/internal/impair"
)

// streamLink is the part of a link for TCP. Each connection has ways of its own: a stream behind another one waits for nobody.
type streamLink struct {
	listener net.Listener
	dial     func(ctx context.Context) (net.Conn, error)
	reset    time.Duration
	most     int
	lottery  *lottery

	mu         sync.Mutex
	conditions [2]impair.Conditions
	ways       map[*streamPair][2]*impair.Way // of connections under way

	conns, refused, resets tally
	bytes                  [2]tally
}

const (
	chunk        = 4096                  // what is read of a stream at once, in bytes
	mostChunks   = 256                   // what is under way one way of a stream
	retryStalled = 20 * time.Millisecond // when a way that is dead is asked again
	dialWait     = 30 * time.Second      // for a connection to To
)

func listenStreams(l *Link, address string) (*streamLink, error) {
	to, err := net.ResolveTCPAddr("tcp", l.cfg.To)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	return newStreamLink(l, listener, func(ctx context.Context) (net.Conn, error) {
		d := net.Dialer{Timeout: dialWait}
		return d.DialContext(ctx, "tcp", to.String())
	}), nil
}

// newStreamLink is over any connections.
func newStreamLink(l *Link, listener net.Listener, dial func(context.Context) (net.Conn, error)) *streamLink {
	return &streamLink{
		listener: listener, dial: dial, reset: l.cfg.Reset, most: l.cfg.MaxPeers, lottery: newLottery(l.cfg.Seed),
		conditions: [2]impair.Conditions{l.out.Conditions(), l.back.Conditions()}, ways: make(map[*streamPair][2]*impair.Way),
	}
}

// set changes the conditions of all connections.
func (s *streamLink) set(out, back impair.Conditions) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conditions = [2]impair.Conditions{out, back}
	for _, ways := range s.ways {
		ways[0].Set(out)
		ways[1].Set(back)
	}
}

// run accepts until the listener is closed, and waits for all connections.
func (s *streamLink) run(ctx context.Context) error {
	var all sync.WaitGroup
	defer all.Wait()
	for {
		conn, err := s.listener.Accept()
		switch {
		case errors.Is(err, net.ErrClosed) || ctx.Err() != nil:
			if conn != nil {
				_ = conn.Close()
			}
			return nil
		case err != nil: // too many files, or a connection that is gone already
			select {
			case <-ctx.Done():
			case <-time.After(10 * time.Millisecond):
			}
			continue
		}
		p := &streamPair{link: s, near: conn}
		if !s.enter(p) {
			s.refused.Add(1)
			_ = conn.Close()
			continue
		}
		all.Go(func() {
			defer s.leave(p)
			p.serve(ctx)
		})
	}
}

// enter makes the ways of a connection, where there is room for it.
func (s *streamLink) enter(p *streamPair) bool {
	seed := s.lottery.seed()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.ways) >= s.most {
		return false
	}
	s.conns.Add(1)
	p.ways = [2]*impair.Way{impair.NewWay(s.conditions[0], seed), impair.NewWay(s.conditions[1], seed+1)}
	s.ways[p] = p.ways
	return true
}

func (s *streamLink) leave(p *streamPair) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.ways, p)
}

// streamPair is a connection of a peer, and the one to To that belongs to it.
type streamPair struct {
	link      *streamLink
	near, far net.Conn
	ways      [2]*impair.Way
}

// serve passes on until both directions have ended, one has failed, or it is time for a reset.
func (p *streamPair) serve(ctx context.Context) {
	defer p.near.Close()
	var err error
	if p.far, err = p.link.dial(ctx); err != nil {
		p.link.refused.Add(1)
		abort(p.near)
		return
	}
	defer p.far.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		_ = p.near.Close()
		_ = p.far.Close()
	})
	defer stop()
	if mean := p.link.reset; mean > 0 {
		timer := time.AfterFunc(p.link.lottery.life(mean), func() {
			p.link.resets.Add(1)
			abort(p.near)
			abort(p.far)
		})
		defer timer.Stop()
	}
	var both sync.WaitGroup
	for i, ends := range [2][2]net.Conn{{p.near, p.far}, {p.far, p.near}} {
		both.Go(func() {
			if !p.pump(ctx, i, ends[0], ends[1]) {
				cancel()
			}
		})
	}
	both.Wait()
}

// part is a piece of a stream, and when it arrives. Without bytes it is the end.
type part struct {
	data []byte
	at   time.Time
}

// pump passes on one direction, and tells whether it has come to an orderly end.
func (p *streamPair) pump(ctx context.Context, way int, from, to net.Conn) (ended bool) {
	parts := make(chan part, mostChunks)
	var reader sync.WaitGroup
	defer reader.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	reader.Go(func() {
		defer close(parts)
		p.feed(ctx, way, from, parts)
	})
	for part := range parts {
		if !sleep(ctx, time.Until(part.at)) {
			return false
		}
		if len(part.data) == 0 {
			return closeWrite(to) == nil
		}
		n, err := to.Write(part.data)
		p.link.bytes[way].Add(uint64(n))
		if err != nil {
			_ = from.SetReadDeadline(time.Now()) // so that its reader ends
			return false
		}
	}
	return false
}

// feed reads one direction until it ends, fails, or ctx ends.
func (p *streamPair) feed(ctx context.Context, way int, from net.Conn, parts chan<- part) {
	for {
		buf := make([]byte, chunk)
		n, err := from.Read(buf)
		if n > 0 && !p.send(ctx, way, buf[:n], parts) {
			return
		}
		if errors.Is(err, io.EOF) {
			p.send(ctx, way, nil, parts)
		}
		if err != nil {
			return
		}
	}
}

// send lets a piece onto the way, as soon as that takes it and there is room; false: ctx has ended before.
func (p *streamPair) send(ctx context.Context, way int, b []byte, parts chan<- part) bool {
	for {
		at, ok := p.ways[way].Stream(time.Now(), len(b))
		if !ok {
			if !sleep(ctx, retryStalled) {
				return false
			}
			continue
		}
		select {
		case parts <- part{b, at}:
			return true
		case <-ctx.Done():
			return false
		}
	}
}

// sleep waits, and tells whether ctx lived so long.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// closeWrite says that nothing more comes.
func closeWrite(c net.Conn) error {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return c.Close()
}

// abort ends a connection with a reset where the system can.
func abort(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0) // it is closed either way
	}
	_ = c.Close()
}
