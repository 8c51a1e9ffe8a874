package impair

import (
	"fmt"
	"hash/fnv"
	"net"
	"net/netip"
	"sync"
)

// Network carries datagrams between sockets in memory. Safe for concurrent use.
type Network struct {
	seed uint64

	mu      sync.Mutex
	sockets map[netip.AddrPort]*Socket
	strayed uint64
}

// NewNetwork returns a network without sockets.
func NewNetwork(seed uint64) *Network {
	return &Network{seed: seed, sockets: make(map[netip.AddrPort]*Socket)}
}

// firstPort is the first that is tried for port 0.
const firstPort = 49152

// Listen makes a socket with this address, until it is closed; port 0 is the first free one from 49152 on. Its ways have seeds of
// their own, made of the network's and of the address. An error: the address is taken, or has no port left.
func (n *Network) Listen(addr netip.AddrPort) (*Socket, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	addr = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
	if addr.Port() == 0 {
		addr = n.free(addr.Addr())
	}
	if _, taken := n.sockets[addr]; taken || addr.Port() == 0 {
		return nil, fmt.Errorf("listening at %s: the address is in use", addr)
	}
	seed := n.seedOf(addr)
	s := &Socket{
		net: n, out: NewWay(Conditions{}, seed), in: NewWay(Conditions{}, seed+1), addr: addr,
		queue: make(chan packet, mostWaiting), closed: make(chan struct{}), deadline: newDeadline(),
	}
	n.sockets[addr] = s
	return s, nil
}

// free is the first free port of a host, 0 where there is none. The lock is held.
func (n *Network) free(host netip.Addr) netip.AddrPort {
	for port := firstPort; port <= 0xffff; port++ {
		addr := netip.AddrPortFrom(host, uint16(port))
		if _, taken := n.sockets[addr]; !taken {
			return addr
		}
	}
	return netip.AddrPortFrom(host, 0)
}

// seedOf is the seed of a socket's way out; that of its way in is one more.
func (n *Network) seedOf(addr netip.AddrPort) uint64 {
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%d %s", n.seed, addr) // a hash takes everything
	return h.Sum64() &^ 1
}

// Inject brings a datagram to the receiver's way in, whoever it is said to be from.
func (n *Network) Inject(b []byte, from, to netip.AddrPort) {
	n.mu.Lock()
	s := n.sockets[netip.AddrPortFrom(to.Addr().Unmap(), to.Port())]
	if s == nil {
		n.strayed++
	}
	n.mu.Unlock()
	if s != nil {
		s.arrive(b, from)
	}
}

// Strayed is how many datagrams went to an address that nobody had when they got there.
func (n *Network) Strayed() uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.strayed
}

// Move gives a socket another address, as a NAT does that has forgotten it: its next datagrams come from there, and what goes to
// the old address is lost, what is under way, too. Its ways stay. An error: the address is taken, or the socket is closed.
func (n *Network) Move(s *Socket, to netip.AddrPort) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	to = netip.AddrPortFrom(to.Addr().Unmap(), to.Port())
	if _, taken := n.sockets[to]; taken {
		return fmt.Errorf("moving to %s: the address is in use", to)
	}
	if n.sockets[s.addr] != s {
		return fmt.Errorf("moving to %s: %w", to, net.ErrClosed)
	}
	delete(n.sockets, s.addr)
	n.sockets[to] = s
	s.addr = to
	return nil
}

// forget takes a socket's address back.
func (n *Network) forget(s *Socket) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.sockets[s.addr] == s {
		delete(n.sockets, s.addr)
	}
}

func (n *Network) addrOf(s *Socket) netip.AddrPort {
	n.mu.Lock()
	defer n.mu.Unlock()
	return s.addr
}

// addrPort is a socket address as a value.
func addrPort(a net.Addr) (netip.AddrPort, error) {
	if u, ok := a.(*net.UDPAddr); ok {
		p := u.AddrPort()
		return netip.AddrPortFrom(p.Addr().Unmap(), p.Port()), nil
	}
	p, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("reading an address: %w", err)
	}
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port()), nil
}
