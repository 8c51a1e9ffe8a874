package config

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/dotsgate/dotsgate/policy"
)

// uplinkPlace is where the file speaks of one of policy's uplinks.
type uplinkPlace struct {
	own    string // its name and address
	shared string // everything else
}

// member names a server of a farm among all uplinks.
func member(farm, server string) string { return farm + "/" + server }

// uplinks checks where the gateway asks. A farm gives an uplink for each of its servers.
func (b *builder) uplinks(f *file, c *Config) []Uplink {
	if len(f.Uplinks)+len(f.Mitigators) == 0 {
		b.add("uplinks", missing, "add at least one: {name: provider, address: dots.example.net:4646}")
	}
	us := make([]Uplink, 0, len(f.Uplinks))
	for i, u := range f.Uplinks {
		at := fmt.Sprintf("uplinks[%d]", i)
		shared := b.uplink(at, u, c)
		if len(u.Servers) == 0 {
			shared.Address, shared.TLSAddress = u.Address, u.TLSAddress
			b.reach(at, shared, c)
			us = append(us, shared)
			continue
		}
		if u.Address+u.TLSAddress != "" {
			b.add(at+".address", "a farm's servers have the addresses", "move it to servers, or take servers out")
		}
		for j, s := range u.Servers {
			one, own := shared, fmt.Sprintf("%s.servers[%d]", at, j)
			if s.Name == "" {
				b.add(own+".name", missing, "give each server of the farm a name")
			}
			one.Name, one.Address, one.TLSAddress = member(u.Name, s.Name), s.Address, s.TLSAddress
			if s.ServerName != "" {
				one.ServerName = s.ServerName
			}
			b.named(own+".name", one.Name)
			b.named(own+".server_name", s.ServerName)
			b.reach(own, one, c)
			us = append(us, one)
		}
	}
	return us
}

// uplink checks what the servers of an uplink share.
func (b *builder) uplink(at string, f fileUplink, c *Config) Uplink {
	u := Uplink{Name: f.Name, ServerName: f.ServerName, Interface: f.Interface, Credentials: c.Credentials}
	u.Redirects = b.oneOf(at+".redirects", f.Redirects, "follow", "follow", "ignore") == "follow"
	u.Profile = b.oneOf(at+".profile", f.Profile, ProfileRFC9132, ProfileRFC9132, ProfileDraft04)
	if f.Credentials != nil {
		u.Credentials = b.credentials(at+".credentials", *f.Credentials)
	}
	b.transport(at, f, &u)
	u.RecordPath = b.recordPath(at+".record_path", f.RecordPath, u.Transport)
	u.PathMTU = b.pathMTU(at+".path_mtu", f.PathMTU, u.Transport)
	u.Session = b.negotiated(at+".session", f.Session, u.Profile)
	b.named(at+".name", f.Name)
	b.named(at+".server_name", f.ServerName)
	if u.Credentials.onlyPSK() && u.Transport != TransportTLS && u.Credentials.PSKIdentity == "" {
		b.add(at+".credentials", "nothing to show to the server", "give psk_identity, or cert, key and ca")
	}
	if f.Source != "" {
		u.Source = b.addr(at+".source", f.Source)
	}
	if len(f.Interface) > maxInterface || strings.ContainsAny(f.Interface, " /") {
		b.addf(at+".interface", "name an interface of this machine, such as eth1", "%q is no interface", f.Interface)
	}
	return u
}

// Bounds of how often UDP is tried from a session over TCP.
//
// RFC 9132, Section 4.3: not more often than once in 24 h, if it can be helped, and never than once in 5 min.
const (
	defaultProbeUDP = 24 * time.Hour
	leastProbeUDP   = 5 * time.Minute
	mostProbeUDP    = 30 * 24 * time.Hour
)

// transport checks by which transports an uplink is reached. A pre-shared key that is shown is shown over DTLS alone: over TLS the server would
// see somebody else.
func (b *builder) transport(at string, f fileUplink, u *Uplink) {
	keyed := u.Credentials.onlyPSK() || u.Credentials.PSKs[u.Credentials.PSKIdentity] != nil
	def := TransportAuto
	if keyed {
		def = TransportDTLS
	}
	u.Transport = b.oneOf(at+".transport", f.Transport, def, TransportAuto, TransportDTLS, TransportTLS)
	if probe := b.duration(at+".probe_udp", f.ProbeUDP, span{defaultProbeUDP, leastProbeUDP, mostProbeUDP}); u.Transport == TransportAuto {
		u.ProbeUDP = probe
	}
	switch {
	case u.Transport == TransportTLS && u.Credentials.onlyPSK():
		b.add(at+".transport", "TLS needs a certificate, not a pre-shared key", "give cert, key and ca, or use dtls")
	case u.Transport == TransportAuto && keyed:
		b.add(at+".transport", "a pre-shared key cannot be shown over TLS", "use dtls, or give cert, key and ca and no psk_identity")
	case f.ProbeUDP != "" && u.single():
		b.add(at+".probe_udp", "only one transport is used", "take it out, or use transport: auto")
	}
}

// single reports whether there is one transport and no choice.
func (u Uplink) single() bool { return u.Transport == TransportDTLS || u.Transport == TransportTLS }

// maxInterface is the length of the longest name of an interface on Linux, in bytes.
const maxInterface = 15

// reach checks an upstream server's address.
func (b *builder) reach(at string, u Uplink, c *Config) {
	b.address(at+".address", u.Address, false)
	if u.TLSAddress != "" {
		b.address(at+".tls_address", u.TLSAddress, false)
		if u.single() {
			b.add(at+".tls_address", "only one transport is used", "take it out, or use transport: auto")
		}
	}
	for j, l := range c.Listeners {
		if u.Transport != l.Transport && u.Transport != TransportAuto {
			continue
		}
		setting, address := ".address", u.Address
		if l.Transport == TransportTLS && u.TLSAddress != "" {
			setting, address = ".tls_address", u.TLSAddress
		}
		if meet(l.Address, address) {
			b.addf(at+setting, "name the upstream server, not this gateway", "reaches listeners[%d]: requests would loop", j)
		}
	}
}

// policyUplinks turns uplinks, farms and mitigators into policy's, and keeps where the file speaks of each.
func (b *builder) policyUplinks(f *file, pc *policy.Config) {
	for i, u := range f.Uplinks {
		at := fmt.Sprintf("uplinks[%d]", i)
		mode := b.oneOf(at+".cuid", u.CUID, "aggregate", "aggregate", "per-domain", "per-client")
		p := policy.Uplink{
			Name: u.Name, CUIDMode: policy.CUIDMode(mode), RelayOptional: u.RelayOptional, Prefixes: b.prefixes(at+".prefixes", u.Prefixes),
			CDID: b.oneOf(at+".cdid", u.CDID, "none", "none", "insert") == "insert",
		}
		if len(u.Servers) == 0 {
			pc.Uplinks, b.stands = append(pc.Uplinks, p), append(b.stands, uplinkPlace{at, at})
			continue
		}
		farm := policy.Farm{Name: u.Name}
		for j, s := range u.Servers {
			p.Name = member(u.Name, s.Name)
			farm.Members = append(farm.Members, p.Name)
			pc.Uplinks, b.stands = append(pc.Uplinks, p), append(b.stands, uplinkPlace{fmt.Sprintf("%s.servers[%d]", at, j), at})
		}
		pc.Farms, b.farms = append(pc.Farms, farm), append(b.farms, at)
	}
	for i, m := range f.Mitigators {
		at := fmt.Sprintf("mitigators[%d]", i)
		pc.Uplinks = append(pc.Uplinks, policy.Uplink{Name: m.Name, Local: true, CUIDMode: policy.CUIDPerClient})
		b.stands = append(b.stands, uplinkPlace{at, at})
	}
}

// inFile finds the file and the setting that policy means by a path of its own.
func (b *builder) inFile(path string) (*source, string) {
	if i, rest, ok := indexed(path, "domains"); ok && b.nat[i] != nil {
		if of, ok := strings.CutPrefix(rest, ".nat"); ok {
			return b.nat[i], of
		}
	}
	if i, rest, ok := indexed(path, "farms"); ok && i < len(b.farms) {
		return b.source, b.farms[i] + strings.Replace(rest, ".members", ".servers", 1)
	}
	if i, rest, ok := indexed(path, "uplinks"); ok && i < len(b.stands) {
		if rest == ".name" {
			return b.source, b.stands[i].own + rest
		}
		return b.source, b.stands[i].shared + rest
	}
	return b.source, path
}

// indexed splits "list[3].x" into 3 and ".x".
func indexed(path, list string) (i int, rest string, ok bool) {
	inner, ok := strings.CutPrefix(path, list+"[")
	if !ok {
		return 0, "", false
	}
	digits, rest, ok := strings.Cut(inner, "]")
	i, err := strconv.Atoi(digits)
	return i, rest, ok && err == nil
}

// addresses reads IP addresses.
func (b *builder) addresses(at string, texts []string) []netip.Addr {
	var as []netip.Addr
	for i, text := range texts {
		as = append(as, b.addr(fmt.Sprintf("%s[%d]", at, i), text))
	}
	return as
}

// addr reads an IP address that one host can have.
func (b *builder) addr(path, text string) netip.Addr {
	a, err := netip.ParseAddr(text)
	if err != nil || a.IsUnspecified() || a.IsMulticast() || a.Is4In6() {
		b.addf(path, "use an IP address, such as 192.0.2.1 or 2001:db8::1", "%q is no host's address", text)
	}
	return a
}
