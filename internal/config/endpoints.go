package config

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Sides of a listener.
const (
	sideServer = "server-domain"
	sideClient = "client-domain"
)

// listeners checks where clients come in.
func (b *builder) listeners(fs []fileListener, c *Config) []Listener {
	if len(fs) == 0 {
		b.add("listeners", missing, "add at least one: {address: 0.0.0.0:4646, transport: dtls}")
	}
	ls := make([]Listener, 0, len(fs))
	for i, f := range fs {
		at := fmt.Sprintf("listeners[%d]", i)
		l := b.listener(at, f, c)
		for j, other := range ls {
			if l.Transport == other.Transport && meet(l.Address, other.Address) {
				b.addf(at+".address", "remove one of them, or give them different ports", "takes the same port as listeners[%d]", j)
			}
		}
		ls = append(ls, l)
	}
	if len(ls) > 0 && !slices.ContainsFunc(ls, func(l Listener) bool { return !l.Anycast }) {
		b.add("listeners", "all of them are anycast: clients are sent on and served nowhere", "add one on an address of node.unicast")
	}
	return ls
}

// listener checks one of them by itself.
func (b *builder) listener(at string, f fileListener, c *Config) Listener {
	l := Listener{Address: f.Address, RequireALPN: f.RequireALPN, MaxSessions: f.MaxSessions, Profiles: f.Profiles, Anycast: f.Anycast}
	b.address(at+".address", f.Address, true)
	l.Transport = b.oneOf(at+".transport", f.Transport, TransportDTLS, TransportDTLS, TransportTLS)
	if len(l.Profiles) == 0 {
		l.Profiles = []string{ProfileRFC9132}
	}
	for j, p := range f.Profiles {
		b.oneOf(fmt.Sprintf("%s.profiles[%d]", at, j), p, "", ProfileRFC9132, ProfileDraft04)
	}
	b.bounds(at, f, &l)
	l.ClientDomain = b.oneOf(at+".side", f.Side, sideServer, sideServer, sideClient) == sideClient
	if l.Anycast && len(c.Unicast) == 0 {
		b.add(at+".anycast", "there is nowhere to send clients to", "give our own addresses in node.unicast")
	}
	l.RedirectTo = b.alternate(at+".redirect_to", f, c)
	if l.Transport == TransportTLS && c.Credentials.onlyPSK() { // crypto/tls has no external pre-shared keys
		b.add(at+".transport", "TLS needs a certificate", "give credentials.cert, key and ca, or use dtls")
	}
	return l
}

// alternate checks where a listener sends those for whom there is no room.
func (b *builder) alternate(at string, f fileListener, c *Config) Alternate {
	to := f.RedirectTo
	if to.Server == "" {
		if len(to.Addresses) > 0 {
			b.add(at+".server", "missing", "give the name that the other server's certificate has")
		}
		return Alternate{}
	}
	b.hostName(at+".server", to.Server)
	switch {
	case sameName(to.Server, c.NodeID), sameName(to.Server, c.UnicastName):
		b.add(at+".server", "names this node", "name another server")
	case f.Anycast:
		b.add(at, "an anycast listener sends everybody to node.unicast", "take one of both out")
	case len(to.Addresses) > maxAlternates:
		b.addf(at+".addresses", "keep the best", "more than %d addresses do not fit a request's answer", maxAlternates)
	}
	return Alternate{Server: to.Server, Addresses: b.addresses(at+".addresses", to.Addresses)}
}

// sameName reports whether two names of hosts are one.
func sameName(a, b string) bool {
	return strings.EqualFold(strings.TrimSuffix(a, "."), strings.TrimSuffix(b, "."))
}

// hostName checks a name that clients are told, and look for in a certificate; none is needed. What clients cannot read they cannot follow.
func (b *builder) hostName(at, name string) {
	bare := strings.TrimSuffix(name, ".")
	if name == "" {
		return
	}
	_, err := netip.ParseAddr(bare)
	good := err != nil && len(bare) <= maxHostName
	for label := range strings.SplitSeq(bare, ".") {
		other := strings.Trim(label, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-")
		good = good && label != "" && len(label) <= 63 && label[0] != '-' && label[len(label)-1] != '-' && other == ""
	}
	if !good {
		b.addf(at, "use such as dots.example.net", "%q is no host's name", name)
	}
}

// maxHostName is the greatest length of a host's name, in bytes (RFC 1035, Section 2.3.4).
const maxHostName = 253

// maxAlternates is as many addresses of another server as fit a small datagram beside a long name.
const maxAlternates = 8

// mostHandshakes is as many handshakes as a listener may be told to have under way: it makes room for them when it starts.
const mostHandshakes = 1 << 16

// bounds checks what limits a listener.
func (b *builder) bounds(at string, f fileListener, l *Listener) {
	l.Handshakes = f.Handshakes
	l.Source = SourceLimits{Rate: f.Source.Rate, Burst: f.Source.Burst, Handshakes: f.Source.Handshakes}
	for _, n := range []struct {
		name  string
		value int
	}{
		{"max_sessions", f.MaxSessions},
		{"max_handshakes", f.Handshakes},
		{"source.rate", f.Source.Rate},
		{"source.burst", f.Source.Burst},
		{"source.handshakes", f.Source.Handshakes},
	} {
		if n.value < 0 {
			b.add(at+"."+n.name, "negative", "use 0 for the built-in bound")
		}
	}
	if f.Handshakes > mostHandshakes {
		b.addf(at+".max_handshakes", "use 0 for the built-in bound", "%d is more than %d", f.Handshakes, mostHandshakes)
	}
	l.RecordPath = b.recordPath(at+".record_path", f.RecordPath, l.Transport)
	l.PathMTU = b.pathMTU(at+".path_mtu", f.PathMTU, l.Transport)
}

// The path MTU, in bytes: RFC 9132, Section 7.3 assumes 1280 where nothing is known, or 576 for IPv4; Ethernet has 1500.
const (
	leastPathMTU = 576
	mostPathMTU  = 1500
)

// pathMTU checks how large a packet may be over this transport; 0 over TLS, where TCP finds it out.
func (b *builder) pathMTU(at string, bytes int, transport string) int {
	switch {
	case bytes == 0:
	case transport == TransportTLS:
		b.add(at, "TLS has no such setting: TCP finds it out", "take it out")
		return 0
	case bytes < leastPathMTU || bytes > mostPathMTU:
		b.addf(at, fmt.Sprintf("use %d to %d, or 0 for 1280", leastPathMTU, mostPathMTU), "%d bytes is out of range", bytes)
	}
	return bytes
}

// recordPath checks who protects the records of sessions over this transport; empty over TLS.
func (b *builder) recordPath(at, path, transport string) string {
	if transport == TransportDTLS || transport == TransportAuto {
		return b.oneOf(at, path, RecordPathOwn, RecordPathOwn, RecordPathPion)
	}
	if path != "" && transport == TransportTLS {
		b.add(at, "TLS has no such choice", "take it out")
	}
	return ""
}

// address checks a host:port. A listener may leave the host out.
func (b *builder) address(path, address string, listen bool) {
	const fix = "use HOST:PORT, such as 192.0.2.1:4646 or [2001:db8::1]:4646"
	if address == "" {
		b.add(path, missing, fix)
		return
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		b.addf(path, fix, "%q is no address", address)
		return
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 && !listen {
		b.addf(path, "use a port from 1 to 65535; DOTS has 4646", "%q is no port", port)
	}
	if host == "" && !listen {
		b.add(path, "the host is missing", fix)
	}
	if listen && host != "" && net.ParseIP(host) == nil && host != "localhost" {
		b.addf(path, "listen on an IP address of this machine", "%q is no IP address", host)
	}
}

// meet reports whether one of the addresses takes in the other: the same port of the same host, or of every host and one of
// this machine's own.
func meet(a, b string) bool {
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	if errA != nil || errB != nil || portA != portB || portA == "0" {
		return false
	}
	ipA, ipB := ipOf(hostA), ipOf(hostB)
	if !ipA.IsValid() || !ipB.IsValid() {
		return hostA == hostB
	}
	return ipA == ipB || ipA.IsUnspecified() && here(ipB) || ipB.IsUnspecified() && here(ipA)
}

// here reports whether an address is certainly this machine's: which others are, is seen only when it is bound.
func here(ip netip.Addr) bool { return ip.IsUnspecified() || ip.IsLoopback() }

// ipOf reads a host that is an address; an empty one is every address, localhost is 127.0.0.1.
func ipOf(host string) netip.Addr {
	switch host {
	case "":
		return netip.IPv6Unspecified()
	case "localhost":
		return netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	ip, _ := netip.ParseAddr(host) // the zero address: a name
	return ip.Unmap()
}
