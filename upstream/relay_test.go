package upstream

import (
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
)

// relay stands at an address that stays while the server behind it dies and another takes its place.
type relay struct {
	t       *testing.T
	packets *net.UDPConn // nil: over TCP
	accepts net.Listener // nil: over UDP
	tasks   sync.WaitGroup

	mu      sync.Mutex
	server  string // nowhere while empty
	clients map[netip.AddrPort]*net.UDPConn
	conns   []net.Conn
}

// newRelay listens on a free port until the test ends.
func newRelay(t *testing.T, network string) *relay {
	t.Helper()
	r := &relay{t: t, clients: map[netip.AddrPort]*net.UDPConn{}}
	var err error
	if network == "tcp" {
		r.accepts, err = net.Listen("tcp", "127.0.0.1:0")
	} else {
		r.packets, err = net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	}
	if err != nil {
		t.Fatal(err)
	}
	if r.accepts != nil {
		r.tasks.Go(r.runTCP)
	} else {
		r.tasks.Go(r.runUDP)
	}
	t.Cleanup(func() {
		r.lead("")
		if r.accepts != nil {
			_ = r.accepts.Close()
		} else {
			_ = r.packets.Close()
		}
		r.tasks.Wait()
	})
	return r
}

// addr is where clients go.
func (r *relay) addr() string {
	if r.accepts != nil {
		return r.accepts.Addr().String()
	}
	return r.packets.LocalAddr().String()
}

// lead sends what comes from now on to a server. With the one before, everything is cut off: over TCP as the system does
// for a process that died, over UDP in silence.
func (r *relay) lead(server string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.server = server
	for _, c := range r.clients {
		_ = c.Close()
	}
	for _, c := range r.conns {
		_ = c.Close()
	}
	r.clients, r.conns = map[netip.AddrPort]*net.UDPConn{}, nil
}

func (r *relay) runUDP() {
	buf := make([]byte, 1<<16)
	for {
		n, from, err := r.packets.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		if c := r.client(from); c != nil {
			_, _ = c.Write(buf[:n]) // a refusal is loss
		}
	}
}

// client is the socket that stands for a client toward the server; nil: there is no server.
func (r *relay) client(from netip.AddrPort) *net.UDPConn {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.clients[from]; c != nil || r.server == "" {
		return c
	}
	c, err := net.Dial("udp", r.server)
	if err != nil {
		r.t.Error(err)
		return nil
	}
	r.clients[from] = c.(*net.UDPConn)
	r.tasks.Go(func() {
		buf := make([]byte, 1<<16)
		for {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			_, _ = r.packets.WriteToUDPAddrPort(buf[:n], from) // loss
		}
	})
	return r.clients[from]
}

func (r *relay) runTCP() {
	for {
		near, err := r.accepts.Accept()
		if err != nil {
			return
		}
		far := r.reach(near)
		if far == nil {
			_ = near.Close()
			continue
		}
		for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
			r.tasks.Go(func() {
				_, _ = io.Copy(way[0], way[1]) // however it ends, it is over
				_, _ = near.Close(), far.Close()
			})
		}
	}
}

// reach connects to the server; nil: there is none.
func (r *relay) reach(near net.Conn) net.Conn {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.server == "" {
		return nil
	}
	far, err := net.Dial("tcp", r.server)
	if err != nil {
		return nil
	}
	r.conns = append(r.conns, near, far)
	return far
}
