package reach

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/dotsgate/dotsgate/upstream"
)

// way is one that may lead to a server.
type way struct {
	addr netip.AddrPort
	tcp  bool
}

func (w way) String() string {
	if w.tcp {
		return w.addr.String() + " over TCP"
	}
	return w.addr.String() + " over UDP"
}

// ways lists the ways to a server in the order in which they are tried.
func (r *Reach) ways(ctx context.Context, to upstream.Destination) ([]way, error) {
	hosts := [2]string{r.host, r.hostTLS}
	if name := name(to); name != "" {
		hosts = [2]string{name, name}
	}
	var addrs [2][]netip.Addr
	for i, tcp := range []bool{false, true} {
		if r.uses(tcp, to) {
			found, err := r.addresses(ctx, hosts[i], to)
			if err != nil {
				return nil, err
			}
			addrs[i] = found
		}
	}
	ways := order(addrs[0], addrs[1], [2]uint16{r.port, r.portTLS})
	if len(ways) == 0 {
		return nil, fmt.Errorf("reaching %s: no address of it can be reached from here", hosts[0])
	}
	if name(to) == "" {
		r.prefer(ways)
	}
	return ways, nil
}

// name is that of the server which a redirect names; empty: it is the configured one.
func name(to upstream.Destination) string { return strings.TrimSuffix(to.Alternate.Server, ".") }

// uses reports whether a transport may be used.
func (r *Reach) uses(tcp bool, to upstream.Destination) bool {
	if tcp {
		return r.cfg.TCP != nil && !to.OverUDP
	}
	return r.cfg.UDP != nil
}

// order puts ways in their order.
//
// RFC 9132, Section 4.3: UDP before TCP, and IPv6 before IPv4. Of each family and transport the first address comes before the second of any,
// so that a name with many addresses does not keep TCP waiting.
func order(udp, tcp []netip.Addr, ports [2]uint16) []way {
	var ways []way
	for i := range maxPerFamily {
		for t, addrs := range [][]netip.Addr{udp, tcp} {
			for _, v4 := range []bool{false, true} {
				if of := family(addrs, v4); i < len(of) {
					ways = append(ways, way{netip.AddrPortFrom(of[i], ports[t]), t == 1})
				}
			}
		}
	}
	return ways
}

// family lists the addresses of one family.
func family(addrs []netip.Addr, v4 bool) []netip.Addr {
	return slices.DeleteFunc(slices.Clone(addrs), func(a netip.Addr) bool { return a.Is4() != v4 })
}

// prefer puts the way that was found last first.
func (r *Reach) prefer(ways []way) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.cfg.Now().Before(r.until) {
		return
	}
	slices.SortStableFunc(ways, func(a, b way) int { return cmp.Compare(rank(a != r.best), rank(b != r.best)) })
}

func rank(later bool) int {
	if later {
		return 1
	}
	return 0
}

// addresses are those of a host that can be tried: what a redirect says, what the host is, or what its name has in the DNS. Where that fails,
// those that the name had last.
func (r *Reach) addresses(ctx context.Context, host string, to upstream.Destination) ([]netip.Addr, error) {
	// RFC 9132, Section 4.6: the records of a redirect may be used without asking the DNS.
	if name(to) != "" && len(to.Alternate.Records) > 0 {
		return r.usable(recorded(to.Alternate.Records)), nil
	}
	if a, err := netip.ParseAddr(host); err == nil {
		return r.usable([]netip.Addr{a}), nil
	}
	found, err := r.cfg.Lookup(ctx, host)
	if err == nil && len(found) == 0 {
		err = errors.New("no addresses")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		if known := r.good[host]; len(known) > 0 {
			return r.usable(known), nil
		}
		return nil, fmt.Errorf("resolving %s: %w", host, err)
	}
	r.keep(host, found)
	return r.usable(found), nil
}

// recorded reads the addresses of a redirect; what is none is passed over.
func recorded(records []string) []netip.Addr {
	var addrs []netip.Addr
	for _, text := range records {
		if a, err := netip.ParseAddr(text); err == nil {
			addrs = append(addrs, a)
		}
	}
	return addrs
}

// keep keeps the addresses of a name. r.mu is held.
func (r *Reach) keep(host string, addrs []netip.Addr) {
	if _, known := r.good[host]; !known && len(r.good) >= maxHosts {
		for other := range r.good {
			if other != r.host && other != r.hostTLS {
				delete(r.good, other)
				break
			}
		}
	}
	r.good[host] = addrs
}

// usable are the addresses that one host can have and that the source reaches, each once.
func (r *Reach) usable(addrs []netip.Addr) []netip.Addr {
	var out []netip.Addr
	for _, a := range addrs {
		a = a.Unmap()
		if a.IsValid() && !a.IsUnspecified() && !a.IsMulticast() && !slices.Contains(out, a) &&
			(!r.cfg.Source.IsValid() || r.cfg.Source.Unmap().Is4() == a.Is4()) {
			out = append(out, a)
		}
	}
	return out
}
