package coap

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
)

// binding is where a dialer's sockets leave from. Its zero value leaves it to the system.
type binding struct {
	source netip.Addr
	device string
}

// boundTo is the binding of a dialer; an error names a source that no socket can have.
func boundTo(cfg DialConfig) (binding, error) {
	b := binding{source: cfg.Source.Unmap(), device: cfg.Interface}
	if b.source.IsValid() && (b.source.IsUnspecified() || b.source.IsMulticast()) {
		return b, fmt.Errorf("source %v is no address of one host", b.source)
	}
	if len(b.device) >= maxDeviceName {
		return b, fmt.Errorf("interface %q: a name has at most %d bytes", b.device, maxDeviceName-1)
	}
	return b, nil
}

// receiveBuffer is the room that the system is asked for, in bytes, for what a server says until it is read: it may answer, or tell of, all of its
// legs at once. The usual 208 KB are full with some 270 short datagrams, each of which counts with what the system itself needs for it.
const receiveBuffer = 1 << 20

// maxDeviceName is IFNAMSIZ: the room for an interface's name and the zero behind it, in bytes.
const maxDeviceName = 16

// suits tells whether a datagram can go from the source to this address.
func (b binding) suits(ip net.IP) bool {
	to, ok := netip.AddrFromSlice(ip)
	return ok && (!b.source.IsValid() || b.source.Is4() == to.Unmap().Is4())
}

// packet opens a socket for datagrams to the server.
func (b binding) packet(ctx context.Context, server *net.UDPAddr) (net.PacketConn, error) {
	network := "udp6"
	if server.AddrPort().Addr().Unmap().Is4() {
		network = "udp4"
	}
	local := ""
	if b.source.IsValid() {
		local = netip.AddrPortFrom(b.source, 0).String()
	}
	lc := net.ListenConfig{Control: b.control()}
	socket, err := lc.ListenPacket(ctx, network, local)
	if err != nil {
		return nil, fmt.Errorf("opening a socket: %w", err)
	}
	if b, ok := socket.(interface{ SetReadBuffer(bytes int) error }); ok {
		_ = b.SetReadBuffer(receiveBuffer) // it works with less
	}
	return socket, nil
}

// stream connects to the server.
func (b binding) stream(ctx context.Context, address string) (net.Conn, error) {
	d := net.Dialer{Control: b.control()}
	if b.source.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(b.source, 0))
	}
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("connecting: %w", err)
	}
	return conn, nil
}

// control binds a new socket to the interface before it is bound to an address; nil where there is none.
func (b binding) control() func(network, address string, c syscall.RawConn) error {
	if b.device == "" {
		return nil
	}
	return func(_, _ string, c syscall.RawConn) error {
		var failed error
		if err := c.Control(func(fd uintptr) { failed = bindToDevice(fd, b.device) }); err != nil {
			return fmt.Errorf("binding to interface %s: %w", b.device, err)
		}
		switch {
		case failed == nil:
			return nil
		case errors.Is(failed, syscall.EPERM):
			return fmt.Errorf("binding to interface %s: %w: it needs the capability CAP_NET_RAW", b.device, failed)
		case errors.Is(failed, syscall.ENODEV):
			return fmt.Errorf("binding to interface %s: %w: there is no such interface", b.device, failed)
		}
		return fmt.Errorf("binding to interface %s: %w", b.device, failed)
	}
}
