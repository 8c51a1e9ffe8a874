package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/dotsgate/dotsgate/internal/impair"
	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// datagramLink is the part of a link for UDP. Each peer has a socket of its own towards To, so that To tells them apart.
type datagramLink struct {
	socket   net.PacketConn
	to       netip.AddrPort
	ways     [2]*impair.Way
	schedule [2]impair.Schedule                        // of what is under way to To, and back
	open     func() (net.PacketConn, error)            // a socket towards To
	peers    *simplelru.LRU[netip.AddrPort, *linkPeer] // by their addresses; mu protects it
	mu       sync.Mutex
	readers  sync.WaitGroup

	peersMade, evicted tally
}

// linkPeer is one address that sends to the link.
type linkPeer struct {
	addr   netip.AddrPort
	socket net.PacketConn // towards To
}

// longestDatagram is the longest that UDP carries, in bytes.
const longestDatagram = 65535

func listenDatagrams(l *Link, address string) (*datagramLink, error) {
	to, err := net.ResolveUDPAddr("udp", l.cfg.To)
	if err != nil {
		return nil, err
	}
	socket, err := net.ListenPacket("udp", address)
	if err != nil {
		return nil, err
	}
	wildcard := "0.0.0.0:0"
	target := unmapped(to.AddrPort())
	if target.Addr().Is6() {
		wildcard = "[::]:0"
	}
	return newDatagramLink(l, socket, target, func() (net.PacketConn, error) { return net.ListenPacket("udp", wildcard) }), nil
}

// newDatagramLink is over any sockets.
func newDatagramLink(l *Link, socket net.PacketConn, to netip.AddrPort, open func() (net.PacketConn, error)) *datagramLink {
	d := &datagramLink{socket: socket, to: to, ways: [2]*impair.Way{l.out, l.back}, open: open}
	d.peers, _ = simplelru.NewLRU(l.cfg.MaxPeers, func(_ netip.AddrPort, p *linkPeer) { _ = p.socket.Close() }) // fails for a size of 0 only
	return d
}

// run passes on until the socket is closed.
func (d *datagramLink) run(ctx context.Context) error {
	defer d.readers.Wait()
	defer d.forget()
	defer d.schedule[1].Close()
	defer d.schedule[0].Close()
	return d.read(ctx, d.socket, func(b []byte, from netip.AddrPort) {
		if p := d.peer(from); p != nil {
			d.pass(0, b, p.socket, d.to)
		}
	})
}

// read hands on what a socket gets until it is closed. Other errors are waited out: they are about single datagrams.
func (d *datagramLink) read(ctx context.Context, socket net.PacketConn, handle func(b []byte, from netip.AddrPort)) error {
	buf := make([]byte, longestDatagram)
	for {
		n, addr, err := socket.ReadFrom(buf)
		switch {
		case errors.Is(err, net.ErrClosed) || ctx.Err() != nil:
			return nil
		case err != nil:
			select {
			case <-ctx.Done():
			case <-time.After(10 * time.Millisecond):
			}
			continue
		}
		if u, ok := addr.(*net.UDPAddr); ok {
			handle(buf[:n], unmapped(u.AddrPort()))
		}
	}
}

// pass has a datagram written when its way lets it arrive. What the system does not take is lost.
func (d *datagramLink) pass(way int, b []byte, by net.PacketConn, to netip.AddrPort) {
	for _, a := range d.ways[way].Pass(time.Now(), b) {
		d.schedule[way].Add(a.At, func() { _, _ = by.WriteTo(a.Data, net.UDPAddrFromAddrPort(to)) })
	}
}

// peer is the one with this address. nil: the system has no socket for it.
func (d *datagramLink) peer(addr netip.AddrPort) *linkPeer {
	d.mu.Lock()
	defer d.mu.Unlock()
	if p, ok := d.peers.Get(addr); ok {
		return p
	}
	socket, err := d.open()
	if err != nil {
		return nil
	}
	p := &linkPeer{addr, socket}
	if d.peers.Add(addr, p) {
		d.evicted.Add(1)
	}
	d.peersMade.Add(1)
	d.readers.Go(func() {
		_ = d.read(context.Background(), socket, func(b []byte, from netip.AddrPort) { // ends when it is closed
			if from == d.to {
				d.pass(1, b, d.socket, p.addr)
			}
		})
	})
	return p
}

// forget takes all peers' sockets away; who sends again gets another.
func (d *datagramLink) forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.peers.Purge()
}

func unmapped(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

// String is for the end of a run.
func (s LinkStats) String() string {
	way := func(name string, c impair.Counts) string {
		return fmt.Sprintf("%s: %d datagrams, %d lost, %d dropped at a full queue, %d too long, %d delivered (%d of them second copies, %d damaged), %d held back, largest %d bytes\n",
			name, c.Datagrams, c.Lost, c.Dropped, c.TooLong, c.Delivered, c.Doubled, c.Flipped, c.HeldBack, c.Largest)
	}
	return way("out", s.Out) + way("back", s.Back) +
		fmt.Sprintf("UDP: %d sources, %d evicted\n", s.Peers, s.Evicted) +
		fmt.Sprintf("TCP: %d connections, %d refused, %d reset; %d bytes out, %d back\n", s.Conns, s.Refused, s.Resets, s.Bytes[0], s.Bytes[1])
}
