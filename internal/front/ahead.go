package front

import (
	"github.com/dotsgate/dotsgate/internal/prefetch"
	"github.com/dotsgate/dotsgate/internal/udp"
)

// foreseeing is a network that shows a batch before it hands it on.
type foreseeing interface {
	// RunAhead is Network.Run.
	RunAhead(ahead udp.Foresight, handle func(via Sender, b []byte, from udp.Path))
}

// aheadMost is how many connections of a batch are looked at: as many as there are datagrams in one.
const aheadMost = 64

// foresee asks for the memory of the sessions that a batch is for. With ten thousand of them, none of it is in a cache, and a session is some forty lines that
// lead to each other: they are fetched step by step, each step for all sessions at once.
func (f *Front) foresee(batch []udp.Datagram) {
	var room [aheadMost]*Conn
	conns := f.recipients(batch, room[:0])
	if len(conns) < 2 {
		return
	}
	for _, c := range conns {
		prefetch.Of(c.route.Load())
		if o := c.own.Load(); o != nil {
			prefetch.Of(o)
		}
		if owner := c.owner.Load(); owner != nil {
			prefetch.Behind(owner, 0, ownerSize)
		}
	}
	for _, c := range conns {
		if o := c.own.Load(); o != nil {
			o.session.Foresee()
		}
		if owner := c.owner.Load(); owner != nil && f.cfg.Ahead != nil {
			f.cfg.Ahead(owner)
		}
	}
}

// ownerSize is how much of an owner is fetched for Config.Ahead, in bytes.
const ownerSize = 128

// recipients appends whom the datagrams are for, as route finds them, and asks for their memory. Several in a row for one are one.
func (f *Front) recipients(batch []udp.Datagram, conns []*Conn) []*Conn {
	for i := range batch {
		d := &batch[i]
		if i > 0 && d.From == batch[i-1].From || looksLikeHello(d.Data) || len(conns) == cap(conns) {
			continue
		}
		var c *Conn
		if id, ok := recordCID(d.Data); ok {
			c = f.table.owner(id)
		}
		if c == nil {
			c = f.table.at(d.From).established
		}
		if c != nil {
			prefetch.Of(c)
			conns = append(conns, c)
		}
	}
	return conns
}
