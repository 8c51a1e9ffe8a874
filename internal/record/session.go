package record

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
)

// ErrFatalAlert says that the peer has ended the session with a fatal alert.
var ErrFatalAlert = errors.New("fatal alert")

// Owner is who a session belongs to.
type Owner interface {
	// Input gets the data of each record of application data that is not empty. It does not keep b. It may call Write and Close.
	Input(b []byte)
	// Send sends one datagram and does not keep b. It must not block, nor call the session. An error is the caller's of Write
	// to know, and nobody else's: to the session a datagram that was not sent is lost on the way.
	Send(b []byte) error
	// Ended is called once when the session is over: with io.EOF after close_notify from either side, with the reason
	// otherwise. Input may be under way, and nothing comes to it afterwards. It must not wait for that, nor call the session.
	Ended(err error)
}

// Drops count the records that were dropped. Safe for concurrent use; the zero value is ready.
type Drops struct {
	Malformed atomic.Uint64 // not of the form that was agreed on, or of no use: handshake messages, bad alerts
	Plain     atomic.Uint64 // of another epoch, so not protected by our keys
	Replayed  atomic.Uint64 // seen before, or too old to tell
	Forged    atomic.Uint64 // not authentic
}

// Buffers are memory to seal records in, shared by sessions. Safe for concurrent use; the zero value is ready.
type Buffers struct{ pool sync.Pool }

// bufferSize is what a buffer begins with, in bytes: a datagram that fits any Ethernet.
const bufferSize = 1536

func (p *Buffers) get() *[]byte {
	if b, ok := p.pool.Get().(*[]byte); ok {
		return b
	}
	b := make([]byte, 0, bufferSize)
	return &b
}

// SessionConfig says what a session is made of.
type SessionConfig struct {
	// Layer is required. It is copied, and of no use to others from then on.
	Layer *Layer
	// Owner is required.
	Owner Owner
	// Buffers are required.
	Buffers *Buffers
	// Drops may be shared. Required.
	Drops *Drops
}

// Session is what DTLS is after the handshake: data in and out, and the alerts that end it. It has no goroutine and no
// timer. Calls of Receive must exclude each other; the other methods are safe for concurrent use.
type Session struct {
	layer   Layer
	owner   Owner
	buffers *Buffers
	drops   *Drops

	out  sync.Mutex  // around what seals
	over atomic.Bool // written under out
}

// NewSession makes a session of a layer.
func NewSession(cfg SessionConfig) *Session {
	s := new(Session)
	s.Init(cfg)
	return s
}

// Init makes a session in the caller's memory, which is not to be copied afterwards. Many sessions that are in one piece each with what
// belongs to them need fewer pages.
func (s *Session) Init(cfg SessionConfig) {
	s.layer, s.owner, s.buffers, s.drops = *cfg.Layer, cfg.Owner, cfg.Buffers, cfg.Drops
}

// Alerts (RFC 5246, Section 7.2).
const (
	alertSize       = 2
	levelWarning    = 1
	levelFatal      = 2
	closeNotify     = 0
	noRenegotiation = 100
)

// Handshake messages (RFC 5246, Section 7.4; RFC 6347, Section 4.2.2).
const (
	messageHeader = 12
	helloRequest  = 0
	clientHello   = 1
)

// Receive takes a datagram of the peer, all its records (RFC 6347, Section 4.1.1), and decrypts it in place. newest may be
// nil; it is called, before the data goes to Input, when the datagram has a record with our connection ID that is authentic
// and the newest so far: the peer was where it came from (RFC 9146, Section 6).
//
// What is not authentic, or makes no sense, is dropped in silence (RFC 6347, Section 4.1.2.7).
func (s *Session) Receive(b []byte, newest func()) {
	cid := len(s.layer.state.LocalCID)
	for record, rest := Next(b, cid); record != nil; record, rest = Next(rest, cid) {
		if s.over.Load() {
			return
		}
		kind, plain, isNewest, err := s.layer.Open(record)
		if err != nil {
			s.drop(err)
			continue
		}
		if isNewest && cid > 0 && newest != nil {
			newest()
			newest = nil
		}
		s.take(kind, plain)
	}
}

func (s *Session) drop(err error) {
	switch {
	case errors.Is(err, ErrReplay):
		s.drops.Replayed.Add(1)
	case errors.Is(err, ErrForged):
		s.drops.Forged.Add(1)
	case errors.Is(err, ErrEpoch):
		s.drops.Plain.Add(1)
	case errors.Is(err, ErrExported): // it is the next owner's
	default:
		s.drops.Malformed.Add(1)
	}
}

// take does what an authentic record asks for.
func (s *Session) take(kind ContentType, plain []byte) {
	switch {
	case kind == ApplicationData && len(plain) > 0:
		s.owner.Input(plain)
	case kind == ApplicationData: // RFC 5246, Section 6.2.1: may be empty, against the analysis of traffic
	case kind == Alert && len(plain) == alertSize:
		s.alert(plain[0], plain[1])
	case kind == Handshake:
		s.handshake(plain)
	default:
		s.drops.Malformed.Add(1)
	}
}

// alert takes an alert of the peer. RFC 5246, Section 7.2.1: close_notify is answered, and ends the session at once. RFC
// 5246, Section 7.2: so does a fatal alert, without an answer. Other warnings change nothing.
func (s *Session) alert(level, description byte) {
	switch {
	case description == closeNotify:
		s.end(io.EOF, true)
	case level == levelFatal:
		s.end(fmt.Errorf("%w %d", ErrFatalAlert, description), false)
	}
}

// handshake drops a message of the handshake: the peer's last flight, which it repeats, or the beginning of another one.
//
// RFC 5246, Section 7.2.2: renegotiation is refused by a warning, no_renegotiation.
func (s *Session) handshake(message []byte) {
	begins := byte(clientHello)
	if s.layer.state.IsClient {
		begins = helloRequest
	}
	if len(message) >= messageHeader && message[0] == begins && binary.BigEndian.Uint32(message[5:])&0xffffff == 0 {
		s.out.Lock()
		_ = s.seal(Alert, []byte{levelWarning, noRenegotiation}) // it may be lost like any datagram
		s.out.Unlock()
	}
	s.drops.Malformed.Add(1)
}

// Write seals b as one record and sends it. It returns net.ErrClosed when the session is over, ErrTooLong, and what Owner.Send
// returns. When the sequence numbers are used up it ends the session and returns ErrExhausted.
func (s *Session) Write(b []byte) error {
	s.out.Lock()
	if s.over.Load() {
		s.out.Unlock()
		return net.ErrClosed
	}
	err := s.seal(ApplicationData, b)
	s.out.Unlock()
	if errors.Is(err, ErrExhausted) {
		s.end(ErrExhausted, true)
	}
	return err
}

// seal sends a record. The lock is held.
func (s *Session) seal(kind ContentType, plain []byte) error {
	buf := s.buffers.get()
	defer s.buffers.pool.Put(buf)
	sealed, err := s.layer.Seal((*buf)[:0], kind, plain)
	if err != nil {
		return err
	}
	*buf = sealed[:0] // it may have grown
	return s.owner.Send(sealed)
}

// Close sends close_notify and ends the session with io.EOF. What it does a second time is nothing.
func (s *Session) Close() { s.end(io.EOF, true) }

// Abandon ends the session without a word to the peer, for a peer that has forgotten it.
func (s *Session) Abandon(reason error) { s.end(reason, false) }

func (s *Session) end(reason error, tell bool) {
	s.out.Lock()
	if s.over.Load() {
		s.out.Unlock()
		return
	}
	if tell {
		_ = s.seal(Alert, []byte{levelWarning, closeNotify}) // it may be lost like any datagram
	}
	s.over.Store(true)
	s.out.Unlock()
	s.owner.Ended(reason)
}

// Export ends the session without a word to anybody, Owner.Ended included, and returns what its next owner needs. It and
// Receive must exclude each other. It returns net.ErrClosed when the session is over.
func (s *Session) Export() (State, error) {
	s.out.Lock()
	defer s.out.Unlock()
	if s.over.Load() {
		return State{}, net.ErrClosed
	}
	s.over.Store(true)
	return s.layer.State()
}
