package coap

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

var (
	// ErrIdle says that a session was ended because nothing came for the configured idle time.
	ErrIdle = errors.New("session idle for too long")

	errEndpointFull = errors.New("too many sessions")
)

// maxDatagram is the longest datagram that is read, in bytes; the DTLS library reads no more.
const maxDatagram = 8192

// keeper owns the sessions of one endpoint and the goroutines that feed them.
type keeper struct {
	limit   int           // 0: none
	idle    time.Duration // 0: never
	running sync.WaitGroup

	mu       sync.Mutex
	sessions map[*Session]*idleWatch // nil where idle is 0
	closed   bool
}

func newKeeper(limit int, idle time.Duration) *keeper {
	return &keeper{limit: limit, idle: idle, sessions: make(map[*Session]*idleWatch)}
}

// idleWatch ends a session that has been silent for too long.
type idleWatch struct {
	s     *Session
	after time.Duration
	timer timer
}

// fired looks when the session was heard last, so that nothing need be done for what comes.
func (w *idleWatch) fired() {
	due := w.s.LastHeard().Add(w.after)
	switch {
	case w.s.Err() != nil:
	case time.Now().Before(due):
		w.s.timers.set(&w.timer, due)
	default:
		w.s.InputClosed(ErrIdle)
	}
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
		giveUp(conn)
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
	k.begin(s, conn)
	if err != nil {
		return nil, fmt.Errorf("welcoming a session: %w", err)
	}
	return s, nil
}

// giveUp closes a connection that no session will use.
func giveUp(conn securedConn) {
	_ = conn.Close() // the reason for it says more
	if c, ok := conn.(pulledConn); ok {
		c.pump()
	}
	drained(conn)
}

// drained waits for a closed connection that has something left to do.
func drained(conn securedConn) {
	if c, ok := conn.(drainingConn); ok {
		c.drain()
	}
}

// add registers the session and, with it, what feeds it, which must follow.
func (k *keeper) add(s *Session) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.closed:
		return ErrClosed
	case k.limit > 0 && len(k.sessions) >= k.limit:
		return errEndpointFull
	}
	var w *idleWatch
	if k.idle > 0 {
		w = &idleWatch{s: s, after: k.idle}
		w.timer.fire = w
		s.timers.set(&w.timer, time.Now().Add(k.idle))
	}
	k.sessions[s] = w
	k.running.Add(1)
	return nil
}

// begin lets the connection feed the session until either ends. It is called for one that has ended as well.
func (k *keeper) begin(s *Session, conn securedConn) {
	if c, ok := conn.(askingConn); ok {
		c.attach(s)
	}
	switch c := conn.(type) {
	case pushingConn:
		c.push(s.Input, func(err error) {
			defer k.running.Done()
			k.ended(s, conn, err)
		})
	case pulledConn:
		go k.serve(s, c)
	}
}

// ended takes leave of a session from which nothing comes any more.
func (k *keeper) ended(s *Session, conn securedConn, err error) {
	s.InputClosed(err)
	_ = conn.Close() // the session has its reason
	drained(conn)
	k.mu.Lock()
	w := k.sessions[s]
	delete(k.sessions, s)
	k.mu.Unlock()
	if w != nil {
		s.timers.stop(&w.timer)
	}
}

// serve reads for the session until either ends.
func (k *keeper) serve(s *Session, conn pulledConn) {
	defer k.running.Done()
	var pump sync.WaitGroup
	pump.Go(conn.pump)
	k.ended(s, conn, k.feed(s, conn))
	pump.Wait()
}

func (k *keeper) feed(s *Session, conn pulledConn) error {
	buf := make([]byte, maxDatagram)
	for {
		n, err := conn.read(buf)
		if n > 0 {
			s.Input(buf[:n])
		}
		if err != nil {
			return err
		}
	}
}

// refuse lets no session be added any more.
func (k *keeper) refuse() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.closed = true
}

// all are the sessions there are.
func (k *keeper) all() []*Session {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Collect(maps.Keys(k.sessions))
}

// shutdown closes all sessions and waits for their goroutines. No session can be added any more.
func (k *keeper) shutdown() {
	k.refuse()
	for _, s := range k.all() {
		_ = s.Close() // it is over either way
	}
	k.running.Wait()
}
