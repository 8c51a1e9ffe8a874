package front

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/dotsgate/dotsgate/internal/pressure"
	"github.com/dotsgate/dotsgate/internal/record"
	"github.com/dotsgate/dotsgate/internal/udp"
)

const (
	// maxUnaccepted is how many proven peers wait for Accept: many may come back at the same moment.
	maxUnaccepted = 1024
	minSecret     = 16 // bytes
)

// Front proves addresses, opens handshakes and carries the records of sessions. Its methods are safe for concurrent use.
type Front struct {
	cfg      Config
	counters *Counters
	cookies  *cookies
	table    *table
	pending  *pending
	records  records
	gate     *gate     // nil: addresses are proven before anything is kept
	replies  sync.Pool // of *[helloVerifySize]byte

	proven  chan *Conn
	stopped chan struct{}
	stop    sync.Once
}

// New makes a front. Nothing is read before Run. It tries the hand-over to the library (SelfTest); where that fails, the
// front works as a gate, and cfg.Alarm is told.
func New(cfg Config) (*Front, error) {
	if cfg.Network == nil || cfg.Options == nil {
		return nil, errors.New("making a front: Network and Options are required")
	}
	if cfg.Secret != nil && len(cfg.Secret) < minSecret {
		return nil, fmt.Errorf("making a front: a secret of %d bytes, at least %d are needed", len(cfg.Secret), minSecret)
	}
	f := newFront(cfg)
	if err := SelfTest(cfg.Options()); err != nil {
		f.gate = newGate()
		if cfg.Alarm != nil {
			cfg.Alarm(err)
		}
	}
	return f, nil
}

func newFront(cfg Config) *Front {
	if cfg.Secret == nil {
		cfg.Secret = make([]byte, 2*minSecret)
		_, _ = rand.Read(cfg.Secret) // it cannot fail: it ends the program when the system has no randomness
	}
	if cfg.now == nil {
		cfg.now = time.Now
	}
	cfg.MaxPending = cmp.Or(cfg.MaxPending, DefaultMaxPending)
	cfg.MaxPerPrefix = cmp.Or(cfg.MaxPerPrefix, DefaultMaxPerPrefix)
	cfg.Rate = cmp.Or(cfg.Rate, DefaultRate)
	cfg.Burst = cmp.Or(cfg.Burst, DefaultBurst)
	cfg.Counters = cmp.Or(cfg.Counters, new(Counters))
	return &Front{
		cfg: cfg, counters: cfg.Counters,
		cookies: newCookies(cfg.Secret, cfg.now), table: newTable(), pending: newPending(cfg),
		records: records{exporter: new(record.Exporter), alarm: cfg.Alarm},
		replies: sync.Pool{New: func() any { return new([helloVerifySize]byte) }},
		proven:  make(chan *Conn, maxUnaccepted), stopped: make(chan struct{}),
	}
}

// Run reads the network until Close; when ctx ends, nobody new is let in (StopAccepting). Called once.
func (f *Front) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, f.StopAccepting)
	defer stop()
	f.cfg.Network.Run(f.route)
	return nil
}

// Accept waits for a peer whose address is proven and whose handshake has not begun. It returns net.ErrClosed after
// StopAccepting. Whoever it returns is to be shaken hands with, or closed.
func (f *Front) Accept() (*Conn, error) {
	select {
	case <-f.stopped:
		return nil, net.ErrClosed
	case c := <-f.proven:
		return c, nil
	}
}

// StopAccepting ends Accept and lets nobody new in. Those who are there live on.
func (f *Front) StopAccepting() { f.stop.Do(func() { close(f.stopped) }) }

// Stop ends Run: nothing is read any more, and what comes waits in the system for whoever reads the sockets next.
func (f *Front) Stop() {
	f.StopAccepting()
	f.cfg.Network.Stop()
}

// Close closes the network, and so ends Run. Sessions should have been closed before: it sends nothing to anybody.
func (f *Front) Close() error {
	f.StopAccepting()
	if err := f.cfg.Network.Close(); err != nil {
		return fmt.Errorf("closing the sockets: %w", err)
	}
	return nil
}

// Addr is our address.
func (f *Front) Addr() net.Addr { return f.cfg.Network.Addr() }

// Gated reports whether the front works as a gate only, since the self-test has failed.
func (f *Front) Gated() bool { return f.gate != nil }

// route finds whom a datagram is for. What belongs to nobody is dropped in silence, but for a first ClientHello.
func (f *Front) route(via Sender, b []byte, from udp.Path) {
	if looksLikeHello(b) {
		f.greet(via, b, from)
		return
	}
	// RFC 9146, Section 3: a connection ID says whose record this is, whatever the address.
	if id, ok := recordCID(b); ok {
		if c := f.table.owner(id); c != nil {
			c.deliver(via, b, from)
			return
		}
	}
	p := f.table.at(from)
	if p == (place{}) {
		f.counters.Strangers.Add(1)
		return
	}
	// Both get what comes until the new handshake has proven the peer: neither understands what is protected for the other. The
	// established one is last, since it may change the bytes.
	if p.pending != nil {
		p.pending.deliver(via, b, from)
	}
	if p.established != nil {
		p.established.deliver(via, b, from)
	}
}

// greet answers a ClientHello. Nothing is kept for one whose cookie does not prove its address.
func (f *Front) greet(via Sender, b []byte, from udp.Path) {
	h, ok := parseHello(b)
	if !ok || len(b) < minHello {
		f.counters.Strangers.Add(1)
		return
	}
	f.counters.Hellos.Add(1)
	p := f.table.at(from)
	switch {
	case p.pending != nil && p.pending.repeats(&h):
		p.pending.deliver(via, b, from) // even when its cookie has grown too old meanwhile
	case f.gate != nil:
		f.gate.greet(f, via, &h, from)
	case len(h.cookie) > 0 && f.cookies.valid(&h, from.Peer):
		f.open(via, &h, from)
	default:
		f.challenge(via, &h, from)
	}
}

// challenge asks for the cookie.
func (f *Front) challenge(via Sender, h *hello, from udp.Path) {
	if len(h.cookie) > 0 && f.cfg.Pressure.Sheds(pressure.ShedStrangers) {
		f.counters.Strangers.Add(1)
		return
	}
	cookie := f.cookies.issue(h, from.Peer)
	buf := f.replies.Get().(*[helloVerifySize]byte)
	via.Send(appendHelloVerify(buf[:0], h.number, &cookie), from)
	f.replies.Put(buf)
	f.counters.Verified.Add(1)
}

// open begins a handshake with a peer that has proven its address.
func (f *Front) open(via Sender, h *hello, from udp.Path) {
	// The library is shown a hello before this one, and needs numbers for its answers.
	if h.message != 1 || h.number == 0 || h.number > maxHello2Number {
		f.counters.Strangers.Add(1)
		return
	}
	if e := f.table.at(from).established; e != nil && e.random == h.random {
		return // a late repetition of the hello that this session began with
	}
	if c := f.admit(via, h, from); c != nil {
		c.association.Load().handOver(h)
		f.offer(c)
	}
}

// admit makes a connection if the limits allow one more handshake.
func (f *Front) admit(via Sender, h *hello, from udp.Path) *Conn {
	select {
	case <-f.stopped:
		return nil
	default:
	}
	if f.cfg.Pressure.Sheds(pressure.ShedHandshakes) {
		f.counters.Shed.Add(1)
		return nil
	}
	if !f.pending.admits(from.Peer.Addr(), f.cfg.now()) {
		f.counters.Refused.Add(1)
		return nil
	}
	c := &Conn{front: f, origin: from, random: h.random}
	c.route.Store(&route{via: via, to: from})
	c.waiting.Store(true)
	c.association.Store(newAssociation(c))
	return c
}

// offer puts c into the tables and hands it to Accept.
func (f *Front) offer(c *Conn) {
	before := f.table.open(c)
	oldest := f.pending.add(c)
	for _, other := range []*Conn{before, oldest} {
		if other != nil {
			other.giveWay()
		}
	}
	select {
	case f.proven <- c:
		f.counters.Proven.Add(1)
	default:
		f.counters.Refused.Add(1)
		_ = c.drop() // it cannot fail
	}
}

// giveWay ends a handshake for the sake of a newer one.
func (c *Conn) giveWay() {
	c.replaced.Store(true)
	c.front.counters.Replaced.Add(1)
	c.end()
}

// repeats reports whether a ClientHello is the one that this handshake began with, once more.
func (c *Conn) repeats(h *hello) bool {
	a := c.association.Load()
	return a != nil && c.random == h.random && (c.front.gate != nil || len(h.cookie) == cookieSize && a.cookie == [cookieSize]byte(h.cookie))
}
