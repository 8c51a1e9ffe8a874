package front

import (
	"net"
	"sync/atomic"

	"github.com/dotsgate/dotsgate/internal/udp"
)

// movedFactor is how many bytes are sent to an address that is not confirmed for each byte that came from there.
//
// RFC 9146, Section 6: a peer's new address may be a forged one; so it is no target for more than it pays for, as in RFC
// 9000, Section 8.
const movedFactor = 3

// route is where a connection sends to. Its fields do not change but for the trial's counts: another route takes its place.
type route struct {
	via   Sender
	to    udp.Path
	trial *trial // nil: the address is proven
}

// trial is what has gone both ways with an address that is not proven, in bytes.
type trial struct{ received, sent atomic.Int64 }

// allows reports whether n more bytes may be sent, and counts them if so.
func (r *route) allows(n int) bool {
	if r.trial == nil {
		return true
	}
	if r.trial.sent.Add(int64(n)) <= movedFactor*r.trial.received.Load() {
		return true
	}
	r.trial.sent.Add(-int64(n))
	return false
}

// send sends a datagram to the peer, if its address may get so much.
func (c *Conn) send(b []byte) {
	r := c.route.Load()
	if !r.allows(len(b)) {
		c.front.counters.Unconfirmed.Add(1)
		return
	}
	r.via.Send(b, r.to)
}

// heardOn notes that a datagram of n bytes has come from where we send to, which needs no proof: at most its queue is another.
func (c *Conn) heardOn(via Sender, from udp.Path, n int) {
	r := c.route.Load()
	if from != r.to {
		return
	}
	if r.trial != nil {
		r.trial.received.Add(int64(n))
	}
	if via != r.via {
		c.route.CompareAndSwap(r, &route{via: via, to: r.to, trial: r.trial}) // if it fails, the next datagram does it
	}
}

// moveTo makes the peer's new address the one that is sent to. The caller knows from an authentic record, the newest so far,
// that the peer is there; received bytes of it have come.
func (c *Conn) moveTo(via Sender, to udp.Path, received int) {
	r := c.route.Load()
	if r.to == to {
		return
	}
	moved := &route{via: via, to: to, trial: new(trial)}
	moved.trial.received.Store(int64(received))
	if !c.route.CompareAndSwap(r, moved) {
		return
	}
	c.front.counters.Moves.Add(1)
	if hook := c.front.cfg.Moved; hook != nil {
		hook(c, to.Peer)
	}
}

// peerAddr is a path as the library's net.Addr: it hands back what it was given.
type peerAddr struct{ udp.Path }

func (peerAddr) Network() string  { return "udp" }
func (a peerAddr) String() string { return a.Peer.String() }

func udpAddr(p udp.Path) net.Addr { return net.UDPAddrFromAddrPort(p.Peer) }
