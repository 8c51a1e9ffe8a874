package udp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"syscall"
)

// Config says where datagrams are read.
type Config struct {
	// Address is "host:port", required. An empty host is every address of this machine, and so is an unspecified one, of its
	// family; port 0 is any free one.
	Address string
	// Queues is how many queues established traffic is spread over, besides the one for ClientHellos. 0: GOMAXPROCS, at most
	// 16.
	Queues int
	// Plain is one socket for everything, without steering.
	Plain bool
	// Outbox is how many datagrams wait in each queue to be sent before more are lost. 0: 4096. There is a bound of 4 MiB
	// besides.
	Outbox int
	// Singly hands each datagram to the system by itself, though several in a row go to one peer: what that saves can be measured by it.
	Singly bool

	// attach puts the filter on a socket; nil: the system's. Tests let it fail.
	attach func(fd uintptr, spread int) error
}

const (
	maxQueues     = 16
	defaultOutbox = 4096
	// What is asked of the system for each socket, in bytes; it gives what it allows (net.core.rmem_max).
	receiveBuffer = 4 << 20
	sendBuffer    = 1 << 20
)

// withDefaults puts in what was left out.
func (c Config) withDefaults() Config {
	if c.Queues <= 0 {
		c.Queues = min(runtime.GOMAXPROCS(0), maxQueues)
	}
	if c.Outbox <= 0 {
		c.Outbox = defaultOutbox
	}
	if c.attach == nil {
		c.attach = attach
	}
	return c
}

// Listen binds the sockets. Nothing is read before Run. Where the system does not allow steering there is one plain socket.
func Listen(cfg Config) (*Sockets, error) {
	cfg = cfg.withDefaults()
	var refused error
	if !cfg.Plain {
		var conns []*net.UDPConn
		if conns, refused = group(cfg); refused == nil {
			return fromConns(conns, cfg), nil
		}
		if errors.Is(refused, syscall.EADDRINUSE) { // one socket would find the same
			return nil, refused
		}
	}
	conn, err := bind(cfg.Address, nil)
	if err != nil {
		return nil, err
	}
	s := fromConns([]*net.UDPConn{conn}, cfg)
	s.refused = refused
	return s, nil
}

// group binds one socket for ClientHellos and the others for the rest.
//
// The first has the filter before it is bound: the system counts that as a group of its own, so the address of another group
// is refused. Without it, a second gateway would share the port in silence, and two that want any free port might get the
// same one.
func group(cfg Config) ([]*net.UDPConn, error) {
	first, err := bind(cfg.Address, func(fd uintptr) error {
		if err := share(fd); err != nil {
			return err
		}
		return cfg.attach(fd, cfg.Queues)
	})
	if err != nil {
		return nil, err
	}
	conns := []*net.UDPConn{first}
	for range cfg.Queues {
		next, err := bind(first.LocalAddr().String(), share)
		if err != nil {
			closeAll(conns)
			return nil, err
		}
		conns = append(conns, next)
	}
	return conns, nil
}

// bind opens a socket; prepare, if not nil, is called before it is bound.
func bind(address string, prepare func(fd uintptr) error) (*net.UDPConn, error) {
	var lc net.ListenConfig
	if prepare != nil {
		lc.Control = func(_, _ string, c syscall.RawConn) error {
			var failed error
			if err := c.Control(func(fd uintptr) { failed = prepare(fd) }); err != nil {
				return err
			}
			return failed
		}
	}
	pc, err := lc.ListenPacket(context.Background(), networkOf(address), address)
	if err != nil {
		return nil, fmt.Errorf("binding to %s: %w", address, err)
	}
	return pc.(*net.UDPConn), nil
}

// networkOf keeps the unspecified address of IPv4 from meaning both families, which the library makes of it.
func networkOf(address string) string {
	if host, _, err := net.SplitHostPort(address); err == nil {
		if ip, err := netip.ParseAddr(host); err == nil && ip.Is4() {
			return "udp4"
		}
	}
	return "udp"
}

// FromFiles are sockets that another process has bound, as its Files gave them and in their order. The filter has come with
// them. Of cfg, only Outbox counts. The files stay the caller's.
func FromFiles(files []*os.File, cfg Config) (*Sockets, error) {
	if len(files) == 0 {
		return nil, errors.New("taking over sockets: there are none")
	}
	var conns []*net.UDPConn
	for _, f := range files {
		pc, err := net.FilePacketConn(f)
		if err != nil {
			closeAll(conns)
			return nil, fmt.Errorf("taking over a socket: %w", err)
		}
		conn, ok := pc.(*net.UDPConn)
		if !ok {
			_ = pc.Close() // the caller has a better error
			closeAll(conns)
			return nil, fmt.Errorf("taking over a socket: %s is none for UDP", f.Name())
		}
		conns = append(conns, conn)
	}
	return fromConns(conns, cfg.withDefaults()), nil
}

// fromConns makes queues of bound sockets, which are its own from now on.
func fromConns(conns []*net.UDPConn, cfg Config) *Sockets {
	s := &Sockets{addr: conns[0].LocalAddr(), steered: len(conns) > 1}
	for i, c := range conns {
		_ = c.SetReadBuffer(receiveBuffer) // it works with less
		_ = c.SetWriteBuffer(sendBuffer)
		s.queues = append(s.queues, newQueue(i, c, cfg))
	}
	return s
}
