package coap

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// SessionConfig is what a session is made of.
type SessionConfig struct {
	Link       Link        // required
	Timers     *Timers     // required; its Run must be under way for anything timed to happen
	Handler    Handler     // optional; nil: every request is answered 4.04
	Peer       Identity    // optional: who the peer proved to be
	Parameters Parameters  // optional; zero fields are defaults
	Limits     Limits      // optional; zero fields are defaults
	Counters   *Counters   // optional; nil: counted for nobody
	Rand       rand.Source // optional; nil: the runtime's generator. Used under the session's lock
	// OnPanic is told of a panic that was caught at the input boundary, with its stack, after it was counted. Optional.
	OnPanic func(s *Session, v any, stack []byte)
}

// Session is one CoAP association with one peer, over DTLS/UDP or TLS/TCP. Either side asks and answers. The session
// starts no goroutine and never reads: its owner pushes records in with Input. All methods are safe for concurrent
// use, but Input and InputClosed are called by one goroutine at a time.
type Session struct {
	id       uint64
	link     Link
	timers   *deadlines
	rooms    *sync.Pool // of *scratch
	handler  Handler
	peer     Identity
	limits   Limits
	counters *Counters
	rand     rand.Source
	onPanic  func(s *Session, v any, stack []byte)
	reliable bool
	over     atomic.Bool // err is set

	mu        sync.Mutex
	after     []putOff      // done by unlock once the lock is free
	err       error         // why the session ended; nil while it lives
	done      chan struct{} // closed with that; nil: nobody waits for it
	params    Parameters
	heard     time.Time
	mid       uint16
	token     uint32
	sequence  uint32   // of notifications, over all observers
	lent      *scratch // from rooms, while the lock is held
	conLife   time.Duration
	nonLife   time.Duration
	cons      map[uint16]*confirmable
	calls     map[uint32]*call
	pings     []*call // over TCP, in the order sent
	exchanges exchanges
	observers map[string]*Observer // by the peer's token
	seen      duplicates
	bodies    []*body
	snapshots []*kept
	stream    *stream // over TCP only
	flow      flow    // over UDP only
}

// NewSession returns a session that is not started. An error means a missing part of the config.
func NewSession(cfg SessionConfig) (*Session, error) {
	if cfg.Link == nil || cfg.Timers == nil {
		return nil, errors.New("making a session: link and timers are required")
	}
	s := &Session{
		link: cfg.Link, rooms: &cfg.Timers.rooms, handler: cfg.Handler, peer: cfg.Peer, counters: cfg.Counters, rand: cfg.Rand, onPanic: cfg.OnPanic,
		limits: cfg.Limits.withDefaults(), reliable: cfg.Link.Reliable(),
		heard: time.Now(),
	}
	if s.counters == nil {
		s.counters = new(Counters)
	}
	s.seen.early = &s.counters.Forgotten
	if s.rand == nil {
		s.rand = runtimeRand{}
	}
	s.setParameters(cfg.Parameters)
	if s.reliable {
		s.stream = newStream(s)
	}
	s.id = runtimeRand{}.Uint64() >> 11 // 53 bits: exact in every log reader, and no counter of the process is needed
	s.timers = cfg.Timers.of(s.id)
	s.flow.filled, s.flow.at = paceDepth, s.clock()
	s.mid = uint16(s.rand.Uint64())
	s.token = uint32(s.rand.Uint64())
	return s, nil
}

// runtimeRand is the runtime's own generator as a source.
type runtimeRand struct{}

func (runtimeRand) Uint64() uint64 {
	return rand.Uint64() //nolint:gosec // tokens and message ids must differ, not be secret: the transport protects them
}

// ID returns a number for logs, drawn from 2^53, so unique in the process for all practical purposes.
func (s *Session) ID() uint64 { return s.id }

// Peer returns who the peer proved to be. The slices inside are shared and read-only.
func (s *Session) Peer() Identity { return s.peer }

// RemoteAddr returns the peer's address.
func (s *Session) RemoteAddr() net.Addr { return s.link.RemoteAddr() }

// LocalAddr returns our address.
func (s *Session) LocalAddr() net.Addr { return s.link.LocalAddr() }

// Reliable reports whether the session runs over TCP.
func (s *Session) Reliable() bool { return s.reliable }

// Transport names what the session runs over as the configuration does: dtls or tls.
func (s *Session) Transport() string {
	if s.reliable {
		return "tls"
	}
	return "dtls"
}

// Done returns a channel that is closed when the session has ended.
func (s *Session) Done() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done == nil {
		s.done = make(chan struct{})
		if s.err != nil {
			close(s.done)
		}
	}
	return s.done
}

// Ended reports whether the session has ended. Unlike Done it costs nothing, and unlike Err it never waits.
func (s *Session) Ended() bool { return s.over.Load() }

// Err returns why the session ended, nil while it lives.
func (s *Session) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// LastHeard returns when the last authenticated record came in, at first when the session was made.
func (s *Session) LastHeard() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.heard
}

// Parameters returns the transmission parameters in force.
func (s *Session) Parameters() Parameters {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.params
}

// SetParameters changes the transmission parameters; zero fields become defaults. What is already under way goes on
// with the old ones.
func (s *Session) SetParameters(p Parameters) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.setParameters(p)
}

// setParameters also keeps what follows from them and every message needs.
func (s *Session) setParameters(p Parameters) {
	s.params = p.withDefaults()
	s.conLife, s.nonLife = s.params.ExchangeLifetime(), s.params.NonLifetime()
}

// Start begins the session: over TCP it sends our capabilities and waits for the peer's. Called once.
func (s *Session) Start() {
	s.mu.Lock()
	defer s.unlock()
	if s.reliable && s.err == nil {
		s.stream.start()
	}
}

// gatherer is a link whose datagrams can wait for each other.
type gatherer interface {
	gather()
	depart()
}

// Together calls f. What the session sends meanwhile may wait until f returns and then leave in one go, where the link can do that; it need not be f
// that sends it. f must not wait for an answer.
func (s *Session) Together(f func()) {
	if l, ok := s.link.(gatherer); ok {
		l.gather()
		defer l.depart()
	}
	f()
}

// Close ends the session with ErrClosed, tells the peer, and gives the link up. Later calls do nothing.
func (s *Session) Close() error {
	s.mu.Lock()
	if s.err != nil {
		s.unlock()
		return nil
	}
	if s.reliable && s.stream.started {
		// RFC 8323, Section 5.5: Release announces an orderly end.
		_, _ = s.send(packet{code: codeRelease}) // the session ends anyhow
	}
	if s.err == nil { // a link that takes nothing any more has ended it
		s.end(ErrClosed)
	}
	s.unlock()
	if err := s.link.Close(); err != nil {
		return fmt.Errorf("closing the link: %w", err)
	}
	return nil
}

// InputClosed tells the session that the transport ended: err nil or io.EOF when the peer ended it.
func (s *Session) InputClosed(err error) {
	switch {
	case err == nil, errors.Is(err, io.EOF):
		err = ErrClosedByPeer
	default:
		err = fmt.Errorf("reading from the peer: %w", err)
	}
	s.mu.Lock()
	s.fail(err)
	s.unlock()
}

// fail ends the session and closes the link once the lock is free.
func (s *Session) fail(err error) {
	if s.err != nil {
		return
	}
	s.end(err)
	s.later(func() { _ = s.link.Close() }) // the session's own error says more
}

// end marks the session as over, stops its timers and lets everybody who waits know. The lock is held.
func (s *Session) end(err error) {
	s.err = err
	for _, c := range s.cons {
		s.timers.stop(&c.timer)
	}
	for _, c := range s.calls {
		s.drop(c)
		s.told(c, nil, err)
	}
	for len(s.exchanges) > 0 {
		s.exchanges[0].close()
	}
	for _, o := range s.observers {
		o.end()
	}
	if s.stream != nil {
		s.stream.stop()
	}
	s.flow.late.stop()
	s.cons, s.pings, s.bodies, s.snapshots = nil, nil, nil, nil
	s.seen = duplicates{}
	s.over.Store(true)
	if s.done != nil {
		close(s.done)
	}
}

// later runs fn once the lock is free, on the goroutine that holds it now.
func (s *Session) later(fn func()) { s.after = append(s.after, putOff{fn: fn}) }

// laterDone is later for a function that is told the outcome of a request.
func (s *Session) laterDone(done func(*Message, error), m *Message, err error) {
	s.after = append(s.after, putOff{done: done, m: m, err: err})
}

// putOff is what is done once the lock is free: fn is called, or done.
type putOff struct {
	fn   func()
	done func(*Message, error)
	m    *Message
	err  error
}

func (p *putOff) do() {
	if p.fn != nil {
		p.fn()
	} else {
		p.done(p.m, p.err)
	}
}

// fewPutOff is how many of them are usual; the room for these is kept.
const fewPutOff = 2

// unlock frees the lock and then runs what was put off by later, in order.
func (s *Session) unlock() {
	if s.idle() {
		s.fail(ErrClosedByPeer)
	}
	var few [fewPutOff]putOff
	after := few[:0]
	if len(s.after) <= fewPutOff {
		after = append(after, s.after...)
		clear(s.after)
		s.after = s.after[:0]
	} else {
		after, s.after = s.after, nil
	}
	if s.lent != nil {
		s.rooms.Put(s.lent)
		s.lent = nil
	}
	s.mu.Unlock()
	if len(after) > 0 {
		runAll(after)
	}
}

// runAll calls every function, those behind one that panics too: a request that waits is told, a link is closed.
func runAll(all []putOff) {
	i := 0
	defer func() {
		if i < len(all) { // one panicked, and goes on panicking
			runAll(all[i+1:])
		}
	}()
	for ; i < len(all); i++ {
		all[i].do()
	}
}
