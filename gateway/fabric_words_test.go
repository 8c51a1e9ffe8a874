package gateway

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"

	"github.com/dotsgate/dotsgate/dots"
)

// The fabric's world is small, so that requests overlap often and every address of it can be counted: two domains with 32 addresses of either
// family, and a few names each.

// area is a set of the world's addresses, a bit for each: IPv4 and IPv6 of the first domain, then of the second.
type area [4]uint32

// blocks are the prefixes that the domains own, in the order of an area's words.
func blocks() [4]netip.Prefix {
	return [4]netip.Prefix{
		netip.MustParsePrefix("10.0.0.0/27"), netip.MustParsePrefix("2001:db8::/123"),
		netip.MustParsePrefix("10.0.1.0/27"), netip.MustParsePrefix("2001:db8:1::/123"),
	}
}

func (a area) or(b area) area {
	for i := range a {
		a[i] |= b[i]
	}
	return a
}

func (a area) minus(b area) area {
	for i := range a {
		a[i] &^= b[i]
	}
	return a
}

func (a area) meets(b area) bool {
	for i := range a {
		if a[i]&b[i] != 0 {
			return true
		}
	}
	return false
}

func (a area) empty() bool { return a == area{} }

// areaOf adds up prefixes; false: one of them reaches beyond what the domains own.
func areaOf(list []netip.Prefix) (area, bool) {
	var a area
	for _, p := range list {
		i := slices.IndexFunc(blocksCached[:], func(b netip.Prefix) bool { return b.Bits() <= p.Bits() && b.Contains(p.Addr()) })
		if i < 0 {
			return a, false
		}
		bytes := p.Masked().Addr().AsSlice()
		a[i] |= uint32((uint64(1)<<(1<<uint(p.Addr().BitLen()-p.Bits())) - 1) << (bytes[len(bytes)-1] & 31))
	}
	return a, true
}

// blocksCached spares a parse for each prefix; nothing changes it.
var blocksCached = blocks()

// service is which of eight ports and of three protocols, a bit each; the highest bit stands for all others.
type service struct{ ports, protocols uint16 }

func serviceOf(t dots.Target) service {
	s := service{}
	for _, r := range t.Ports {
		for p := r.Lower; p <= r.Upper; p++ {
			s.ports |= 1 << min(p, 15)
		}
	}
	for _, p := range t.Protocols {
		s.protocols |= 1 << min(p, 15)
	}
	if len(t.Ports) == 0 {
		s.ports = 0xffff
	}
	if len(t.Protocols) == 0 {
		s.protocols = 0xffff
	}
	return s
}

func (s service) or(o service) service { return service{s.ports | o.ports, s.protocols | o.protocols} }

func (s service) within(o service) bool {
	return s.ports&^o.ports == 0 && s.protocols&^o.protocols == 0
}

// extent is what a target covers, as the model counts it.
type extent struct {
	area  area
	texts []string // names and URIs as written, in lower case
	service
}

func extentOf(t dots.Target) (extent, bool) {
	a, ok := areaOf(t.Prefixes)
	e := extent{area: a, service: serviceOf(t)}
	for _, s := range slices.Concat(t.FQDNs, t.URIs) {
		e.texts = append(e.texts, strings.ToLower(s))
	}
	return e, ok && len(t.Aliases) == 0
}

// draw makes requests.
type draw struct {
	*rand.Rand
	names bool // names and URIs, too
}

// target is a random target for a domain, and whether it may be asked for.
func (d draw) target(domain int) (dots.Target, bool) {
	var t dots.Target
	all := true
	for range d.IntN(4) {
		p, ok := d.prefix(domain)
		t.Prefixes = append(t.Prefixes, p)
		all = all && ok
	}
	if d.names && d.IntN(4) == 0 {
		s, ok := d.name(domain)
		t.FQDNs, all = append(t.FQDNs, s), all && ok
	}
	if d.names && d.IntN(8) == 0 {
		s, ok := d.name(domain)
		t.URIs, all = append(t.URIs, "https://"+s+"/"), all && ok
	}
	if d.IntN(8) == 0 {
		s, ok := d.alias(domain)
		t.Aliases, all = append(t.Aliases, s), all && ok
	}
	for range d.IntN(3) {
		low := uint16(d.IntN(7))
		if !slices.ContainsFunc(t.Ports, func(r dots.PortRange) bool { return r.Lower == low }) {
			t.Ports = append(t.Ports, dots.PortRange{Lower: low, Upper: low + uint16(d.IntN(2))})
		}
	}
	for range d.IntN(3) {
		if p := []uint8{1, 6, 7}[d.IntN(3)]; !slices.Contains(t.Protocols, p) {
			t.Protocols = append(t.Protocols, p)
		}
	}
	if len(t.Aliases) > 0 && len(t.Prefixes)+len(t.FQDNs)+len(t.URIs) > 0 {
		t.Ports, t.Protocols = nil, nil // an alias has none, so that the whole has none
	}
	return t, all && !t.Empty()
}

// prefix is mostly inside the domain; else one of all that was ever tried to get out.
func (d draw) prefix(domain int) (netip.Prefix, bool) {
	block := blocksCached[2*domain+d.IntN(2)]
	a := block.Addr()
	for range d.IntN(32) {
		a = a.Next()
	}
	p, _ := a.Prefix(a.BitLen() - min(d.IntN(6), d.IntN(6), d.IntN(6)))
	switch d.IntN(60) {
	case 0: // a prefix around the domain's
		return netip.PrefixFrom(block.Addr(), block.Bits()-1-d.IntN(8)), false
	case 1: // and with host bits
		return netip.PrefixFrom(a, block.Bits()-1-d.IntN(8)), false
	case 2, 3: // host bits that are to be cut off
		return netip.PrefixFrom(a, p.Bits()), true
	case 4: // IPv4 within IPv6
		if a.Is4() {
			return netip.PrefixFrom(netip.AddrFrom16(a.As16()), 128), false
		}
		return netip.MustParsePrefix("::ffff:0:0/96"), false
	case 5:
		return netip.MustParsePrefix([]string{"0.0.0.0/0", "::/0", "0.0.0.0/32", "::/128"}[d.IntN(4)]), false
	case 6:
		return netip.MustParsePrefix([]string{"127.0.0.0/8", "::1/128", "224.0.0.1/32", "ff02::1/128", "255.255.255.255/32"}[d.IntN(5)]), false
	case 7: // the neighbour's
		return blocksCached[2*(1-domain)+d.IntN(2)], false
	}
	return p, true
}

func (d draw) name(domain int) (string, bool) {
	switch d.IntN(40) {
	case 0:
		return fmt.Sprintf("outside.d%d.example", domain), false
	case 1:
		return fmt.Sprintf("n0.d%d.example", 1-domain), false
	case 2:
		return fmt.Sprintf("n0.d%d.example.org", domain), false
	case 3:
		return fmt.Sprintf("silent.d%d.example", domain), false
	}
	return fmt.Sprintf("n%d.d%d.example", d.IntN(4), domain), true
}

func (d draw) alias(domain int) (string, bool) {
	switch d.IntN(8) {
	case 0:
		return fmt.Sprintf("web%d", 1-domain), false
	case 1:
		return "nobody's", false
	}
	return fmt.Sprintf("web%d", domain), true
}

// webPrefix is what the alias of a domain stands for.
func webPrefix(domain int) netip.Prefix {
	return netip.MustParsePrefix([]string{"10.0.0.8/30", "10.0.1.8/30"}[domain])
}

// leads says where a name leads.
func leads(name string) []netip.Addr {
	at := func(s ...string) []netip.Addr {
		var list []netip.Addr
		for _, a := range s {
			list = append(list, netip.MustParseAddr(a))
		}
		return list
	}
	host, domain, _ := strings.Cut(name, ".")
	v4, v6 := "10.0.0.", "2001:db8::"
	if strings.HasPrefix(domain, "d1.") {
		v4, v6 = "10.0.1.", "2001:db8:1::"
	}
	switch host {
	case "n0":
		return at(v4 + "3")
	case "n1":
		return at(v4+"17", v6+"11")
	case "n2":
		return at(v6 + "5")
	case "n3":
		return at(v4 + "3") // as n0
	case "outside":
		return at(v4+"3", "192.0.2.1")
	}
	return nil
}
