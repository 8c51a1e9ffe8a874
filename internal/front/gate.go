package front

import (
	"encoding/binary"
	"net/netip"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/dotsgate/dotsgate/internal/udp"
)

const (
	// gateOpen is how many handshakes may be under way with peers that have proven nothing. Each costs some tens of kilobytes.
	gateOpen = 256
	// gateKnown is how many addresses are remembered that have proven themselves, and gateMemory for how long.
	gateKnown  = 4096
	gateMemory = 5 * time.Minute

	alertFatal         = 2
	alertInternalError = 80
)

// gate is what is left when handshakes cannot be handed over to the library: its public API only. The library does the cookie
// exchange, statefully. While few of its handshakes are with peers that have proven nothing, anybody may begin one; when there
// are many, an unknown address is asked for our cookie first, remembered when it has it, and told to come again by a fatal
// alert: one failed attempt for each address, and only under pressure. An address that is known may be forged all the same: the
// limits of its prefix hold.
type gate struct {
	unproven atomic.Int64
	known    *lru.Cache[netip.Addr, time.Time] // until when
}

func newGate() *gate {
	known, err := lru.New[netip.Addr, time.Time](gateKnown)
	if err != nil {
		panic(err) // the size is not positive
	}
	return &gate{known: known}
}

// greet answers a ClientHello that does not repeat the one of a pending handshake.
func (g *gate) greet(f *Front, via Sender, h *hello, from udp.Path) {
	switch {
	case h.message != 0:
		g.prove(f, via, h, from)
	case f.table.at(from).pending != nil:
		f.counters.Strangers.Add(1) // anybody may have sent it, so it ends nothing
	case g.unproven.Load() >= gateOpen && !g.knows(from.Peer.Addr(), f.cfg.now()):
		f.challenge(via, h, from)
	default:
		g.open(f, via, h, from)
	}
}

// prove remembers who has a cookie of ours, and tells the client to begin anew: its next hello will be let in.
func (g *gate) prove(f *Front, via Sender, h *hello, from udp.Path) {
	if !f.cookies.valid(h, from.Peer) {
		f.counters.Strangers.Add(1)
		return
	}
	f.counters.Proven.Add(1)
	g.remember(from.Peer.Addr(), f.cfg.now())
	alert := binary.BigEndian.AppendUint64([]byte{recordTypeAlert, 0xfe, 0xfd}, h.number)
	via.Send(append(alert, 0, 2, alertFatal, alertInternalError), from)
}

// open lets the library begin a handshake, with a cookie exchange of its own.
func (g *gate) open(f *Front, via Sender, h *hello, from udp.Path) {
	c := f.admit(via, h, from)
	if c == nil {
		return
	}
	c.unproven.Store(true)
	g.unproven.Add(1)
	c.association.Load().deliver(via, h.datagram, from)
	f.offer(c)
}

func (g *gate) knows(a netip.Addr, now time.Time) bool {
	until, ok := g.known.Get(a)
	return ok && now.Before(until)
}

func (g *gate) remember(a netip.Addr, now time.Time) { g.known.Add(a, now.Add(gateMemory)) }

// wrote sees what the library sends in a handshake: only a peer that has its cookie gets a ServerHello.
func (g *gate) wrote(c *Conn, b []byte) {
	if len(b) <= recordHeader || b[0] != recordTypeHello || recordEpoch(b) != 0 || b[recordHeader] != typeServerHello {
		return
	}
	if g.leave(c) {
		g.remember(c.origin.Peer.Addr(), c.front.cfg.now())
	}
}

// leave takes c out of the count of those who have proven nothing.
func (g *gate) leave(c *Conn) bool {
	if g == nil || !c.unproven.CompareAndSwap(true, false) {
		return false
	}
	g.unproven.Add(-1)
	return true
}
