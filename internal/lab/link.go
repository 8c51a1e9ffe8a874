package lab

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/internal/impair"
)

// DefaultLinkPeers is how many peers, and TCP connections, a link keeps apart.
const DefaultLinkPeers = 1024

// LinkConfig says what a link is between, and what it does to what passes.
type LinkConfig struct {
	// Listen is HOST:PORT; port 0 is a free one, the same for both networks. Required.
	Listen string
	// To is the HOST:PORT that what comes goes on to. It is resolved once. Required.
	To string
	// Networks are coap.NetworkUDP and coap.NetworkTCP; none means both.
	Networks []string
	// Out is what happens on the way to To, Back on the way from it. A stream loses nothing: it has Delay, Jitter and Rate, and
	// waits while the way is Dead or in a Burst.
	Out, Back impair.Conditions
	// After, For and Every say when there are faults: from After on, for so long, and again after each Every. For 0: always from
	// After on. Every 0: once; otherwise it is no less than For. Otherwise there is only what a path has in good times: Delay,
	// Jitter, Rate, Queue and MTU.
	After, For, Every time.Duration
	// Rebind gives every peer another source address towards To that often, as a NAT that forgets. 0: never.
	Rebind time.Duration
	// Reset is how long a TCP connection lives on average, exponentially distributed; then both its ends are reset. 0: as they like.
	Reset time.Duration
	// Seed makes the fates of datagrams repeatable.
	Seed uint64
	// MaxPeers bounds the peers over UDP, and the connections over TCP. A new peer takes the place of the one that has been silent
	// longest; a new connection too many is closed. 0: DefaultLinkPeers.
	MaxPeers int
}

// Link passes on datagrams and streams between peers and one address, and mistreats them.
type Link struct {
	cfg       LinkConfig
	out, back *impair.Way // of datagrams
	udp       *datagramLink
	tcp       *streamLink
}

// LinkStats are what a link has done so far.
type LinkStats struct {
	Out, Back impair.Counts // of datagrams
	Peers     uint64        // addresses over UDP that were given a source towards To
	Evicted   uint64        // of these, those whose place another one took
	Conns     uint64        // TCP connections
	Refused   uint64        // TCP connections that were one too many, or found nobody at To
	Resets    uint64        // TCP connections that were reset
	Bytes     [2]uint64     // of TCP, to and from To
}

// NewLink checks the configuration and listens. What comes waits for Run.
func NewLink(cfg LinkConfig) (*Link, error) {
	for name, c := range map[string]impair.Conditions{"way out": cfg.Out, "way back": cfg.Back} {
		if err := c.Validate(); err != nil {
			return nil, fmt.Errorf("%w: %s: %w", errUsage, name, err)
		}
	}
	if min(cfg.After, cfg.For, cfg.Every, cfg.Rebind, cfg.Reset) < 0 || cfg.Every > 0 && (cfg.For == 0 || cfg.Every < cfg.For) {
		return nil, fmt.Errorf("%w: times are below 0, or faults come again before they are over", errUsage)
	}
	cfg.MaxPeers = cmp.Or(cfg.MaxPeers, DefaultLinkPeers)
	if len(cfg.Networks) == 0 {
		cfg.Networks = []string{coap.NetworkUDP, coap.NetworkTCP}
	}
	l := newLink(cfg)
	var err error
	for range 20 { // a free port of the one network may not be free in the other
		if err = l.listen(); err == nil || !ephemeral(cfg.Listen) {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("opening the link: %w", err)
	}
	return l, nil
}

// newLink makes a link without sockets, in good times.
func newLink(cfg LinkConfig) *Link {
	l := &Link{cfg: cfg, out: impair.NewWay(cfg.Out, 2*cfg.Seed), back: impair.NewWay(cfg.Back, 2*cfg.Seed+1)}
	l.set(cfg.After == 0)
	return l
}

func ephemeral(address string) bool {
	_, port, err := net.SplitHostPort(address)
	return err == nil && port == "0"
}

// listen opens the sockets, or none.
func (l *Link) listen() error {
	address := l.cfg.Listen
	l.udp, l.tcp = nil, nil
	for _, network := range l.cfg.Networks {
		var err error
		switch network {
		case coap.NetworkUDP:
			l.udp, err = listenDatagrams(l, address)
		case coap.NetworkTCP:
			l.tcp, err = listenStreams(l, address)
		default:
			err = fmt.Errorf("%w: unknown network %q", errUsage, network)
		}
		if err != nil {
			l.close()
			return err
		}
		address = l.Addr().String()
	}
	return nil
}

// Addr is where the link listens, over UDP and TCP alike.
func (l *Link) Addr() netip.AddrPort {
	var a net.Addr
	if l.udp != nil {
		a = l.udp.socket.LocalAddr()
	} else {
		a = l.tcp.listener.Addr()
	}
	return netip.MustParseAddrPort(a.String())
}

// close ends what listens.
func (l *Link) close() {
	if l.udp != nil {
		_ = l.udp.socket.Close() // nothing is to be saved
	}
	if l.tcp != nil {
		_ = l.tcp.listener.Close()
	}
}

// Run passes on until ctx ends, and waits for all it has started. Called once.
func (l *Link) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var all sync.WaitGroup
	var failed [2]error
	all.Go(func() { l.seasons(ctx) })
	if l.udp != nil {
		all.Go(func() {
			failed[0] = l.udp.run(ctx)
			cancel()
		})
	}
	if l.tcp != nil {
		all.Go(func() {
			failed[1] = l.tcp.run(ctx)
			cancel()
		})
	}
	<-ctx.Done()
	l.close()
	all.Wait()
	return errors.Join(failed[0], failed[1])
}

// seasons changes the conditions, and the addresses, as time goes by.
func (l *Link) seasons(ctx context.Context) {
	begin := time.Now()
	rebind := begin.Add(l.cfg.Rebind)
	for {
		bad, change := l.season(time.Since(begin))
		l.set(bad)
		wait := change - time.Since(begin)
		if l.cfg.Rebind > 0 {
			wait = min(wait, time.Until(rebind))
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		if l.cfg.Rebind > 0 && !time.Now().Before(rebind) {
			rebind = rebind.Add(l.cfg.Rebind)
			l.Rebind()
		}
	}
}

// season tells whether there are faults so long after the beginning, and when that changes.
func (l *Link) season(age time.Duration) (bad bool, change time.Duration) {
	const never = 1 << 62
	begin := l.cfg.After
	switch {
	case age < begin:
		return false, begin
	case l.cfg.For == 0:
		return true, never
	case l.cfg.Every > 0:
		begin += (age - begin) / l.cfg.Every * l.cfg.Every
	}
	switch {
	case age < begin+l.cfg.For:
		return true, begin + l.cfg.For
	case l.cfg.Every > 0:
		return false, begin + l.cfg.Every
	}
	return false, never
}

// set puts good or bad times in force.
func (l *Link) set(bad bool) {
	for w, c := range map[*impair.Way]impair.Conditions{l.out: l.cfg.Out, l.back: l.cfg.Back} {
		if !bad {
			c = impair.Conditions{Delay: c.Delay, Jitter: c.Jitter, Rate: c.Rate, Queue: c.Queue, MTU: c.MTU}
		}
		w.Set(c)
	}
	if l.tcp != nil {
		l.tcp.set(l.out.Conditions(), l.back.Conditions())
	}
}

// Rebind gives every peer over UDP another source towards To. Safe for concurrent use.
func (l *Link) Rebind() {
	if l.udp != nil {
		l.udp.forget()
	}
}

// Stats are what has happened so far. Safe for concurrent use.
func (l *Link) Stats() LinkStats {
	s := LinkStats{Out: l.out.Counts(), Back: l.back.Counts()}
	if l.udp != nil {
		s.Peers, s.Evicted = l.udp.peersMade.Load(), l.udp.evicted.Load()
	}
	if l.tcp != nil {
		t := l.tcp
		s.Conns, s.Refused, s.Resets = t.conns.Load(), t.refused.Load(), t.resets.Load()
		s.Bytes = [2]uint64{t.bytes[0].Load(), t.bytes[1].Load()}
	}
	return s
}

// lottery draws what is random about TCP. Safe for concurrent use.
type lottery struct {
	mu sync.Mutex
	r  *rand.Rand
}

func newLottery(seed uint64) *lottery {
	return &lottery{r: rand.New(rand.NewPCG(seed, 3))}
}

// seed is one for a way of its own.
func (l *lottery) seed() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.r.Uint64()
}

// life is an exponentially distributed time.
func (l *lottery) life(mean time.Duration) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Duration(l.r.ExpFloat64() * float64(mean))
}

// tally is a counter.
type tally = atomic.Uint64
