package coap

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

var (
	// ErrIdle says that a session was ended because nothing came for the configured idle time.
	ErrIdle = errors.New("session idle for too long")

	errEndpointFull = errors.New("too many sessions")
)

// tlsReadBuffer is what a reader of a byte stream asks for at once, in bytes.
const tlsReadBuffer = 4 << 10

// keeper owns the sessions of one endpoint and the goroutines that feed them.
type keeper struct {
	limit   int           // 0: none
	idle    time.Duration // 0: never
	running sync.WaitGroup

	mu       sync.Mutex
	sessions map[*Session]struct{}
	closed   bool
}

func newKeeper(limit int, idle time.Duration) *keeper {
	return &keeper{limit: limit, idle: idle, sessions: make(map[*Session]struct{})}
}

func (k *keeper) full() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.limit > 0 && len(k.sessions) >= k.limit
}

// adopt makes a session of the connection and starts it. On an error the connection is closed.
func (k *keeper) adopt(conn securedConn, cfg SessionConfig, welcome func(*Session) error) (*Session, error) {
	cfg.Link, cfg.Peer = conn, conn.identity()
	s, err := NewSession(cfg)
	if err == nil {
		err = k.add(s)
	}
	if err != nil {
		k.giveUp(conn)
		return nil, err
	}
	if welcome != nil {
		err = welcome(s)
	}
	if err == nil {
		s.Start()
	} else {
		_ = s.Close() // err says more
	}
	go k.serve(s, conn)
	if err != nil {
		return nil, fmt.Errorf("welcoming a session: %w", err)
	}
	return s, nil
}

// giveUp closes a connection that no session will use.
func (k *keeper) giveUp(conn securedConn) {
	_ = conn.Close() // the reason for it says more
	conn.pump()
}

// add registers the session and, with it, its serve, which must follow.
func (k *keeper) add(s *Session) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.closed:
		return ErrClosed
	case k.limit > 0 && len(k.sessions) >= k.limit:
		return errEndpointFull
	}
	k.sessions[s] = struct{}{}
	k.running.Add(1)
	return nil
}

// serve pushes what comes into the session until either ends.
func (k *keeper) serve(s *Session, conn securedConn) {
	defer k.running.Done()
	var pump sync.WaitGroup
	pump.Go(conn.pump)
	err := k.feed(s, conn)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = ErrIdle
	}
	s.InputClosed(err)
	_ = conn.Close() // the session has its reason
	pump.Wait()
	k.mu.Lock()
	delete(k.sessions, s)
	k.mu.Unlock()
}

func (k *keeper) feed(s *Session, conn securedConn) error {
	size := maxDatagram
	if conn.Reliable() {
		size = tlsReadBuffer
	}
	buf := make([]byte, size)
	for {
		if k.idle > 0 {
			conn.setReadDeadline(time.Now().Add(k.idle))
		}
		n, err := conn.read(buf)
		if n > 0 {
			s.Input(buf[:n])
		}
		if err != nil {
			return err
		}
	}
}

// shutdown closes all sessions and waits for their goroutines. No session can be added any more.
func (k *keeper) shutdown() {
	k.mu.Lock()
	k.closed = true
	all := make([]*Session, 0, len(k.sessions))
	for s := range k.sessions {
		all = append(all, s)
	}
	k.mu.Unlock()
	for _, s := range all {
		_ = s.Close() // it is over either way
	}
	k.running.Wait()
}
