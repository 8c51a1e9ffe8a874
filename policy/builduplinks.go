package policy

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/gaissmai/bart"
)

// uplinks checks and takes the uplinks.
func (b *builder) uplinks(list []Uplink) {
	if len(list) == 0 {
		b.fault("uplinks", "there is none", "name at least one upstream server")
	}
	for i, u := range list {
		path := fmt.Sprintf("uplinks[%d]", i)
		if u.Name == "" {
			b.fault(path+".name", "is missing", "give the uplink a name")
		}
		if _, ok := b.policy.uplinks[u.Name]; ok {
			b.fault(path+".name", fmt.Sprintf("%q is used twice", u.Name), "give each uplink its own name")
		}
		mode := cmp.Or(u.CUIDMode, CUIDAggregate)
		if mode != CUIDAggregate && mode != CUIDPerDomain && mode != CUIDPerClient {
			b.fault(path+".cuid", fmt.Sprintf("%q is not known", mode), "use aggregate, per-domain or per-client")
		}
		if u.CDID && mode != CUIDPerClient {
			// RFC 9132, Section 4.4.1.2: there is one cdid in a request, that of its client.
			b.fault(path+".cdid", fmt.Sprintf("one cdid cannot speak for all clients behind a cuid that is %s", mode), "use cuid: per-client, or cdid: none")
		}
		for j, k := range u.RelayOptional {
			if !optionalKey(k) {
				b.fault(fmt.Sprintf("%s.relay_optional[%d]", path, j), fmt.Sprintf("%d is no comprehension-optional key", k),
					"use 128 to 255 or 16384 to 65535")
			}
		}
		b.policy.uplinks[u.Name] = uplink{
			mode: mode, relay: slices.Clone(u.RelayOptional), cdid: u.CDID, local: u.Local, provider: len(u.Prefixes) > 0,
		}
		b.policy.members[u.Name] = u.itself()
	}
}

// itself is who is asked under the uplink's own name; nobody where it leaves.
func (u Uplink) itself() []string {
	if u.Leaving {
		return nil
	}
	return []string{u.Name}
}

// optionalKey reports whether a reader may ignore an attribute with this key (RFC 9132, Section 6).
func optionalKey(k uint64) bool { return k >= 128 && k <= 255 || k >= 16384 && k <= 65535 }

// farms checks and takes the farms.
func (b *builder) farms(list []Farm) {
	p := b.policy
	for i, f := range list {
		path := fmt.Sprintf("farms[%d]", i)
		switch {
		case f.Name == "":
			b.fault(path+".name", "is missing", "give the farm a name")
		case p.Reaches(f.Name):
			b.fault(path+".name", fmt.Sprintf("%q is used twice", f.Name), "give each uplink and farm its own name")
		}
		if len(f.Members) == 0 {
			b.fault(path+".members", "there is none", "name at least one server")
		}
		for j, m := range f.Members {
			at := fmt.Sprintf("%s.members[%d]", path, j)
			if _, ok := p.uplinks[m]; !ok {
				b.fault(at, fmt.Sprintf("%q is not known", m), "name one of the uplinks")
				continue
			}
			if other, ok := p.farmOf[m]; ok {
				b.fault(at, fmt.Sprintf("%q is in farm %q already", m, other), "a server is in one farm: take it out of one")
				continue
			}
			p.farmOf[m] = f.Name
		}
		p.members[f.Name] = slices.Clone(f.Members)
	}
}

// providers checks and takes the prefixes that providers assigned. Those of a farm's members are the farm's.
//
// RFC 9284, Section 5: a request for such a prefix goes to the provider that assigned it and to no other.
func (b *builder) providers(list []Uplink) {
	var seen bart.Table[string]
	of := map[string][]netip.Prefix{}
	for i, u := range list {
		owner := b.policy.logical(u.Name)
		for j, q := range u.Prefixes {
			at := fmt.Sprintf("uplinks[%d].prefixes[%d]", i, j)
			switch other, r := overlapping(&seen, q, owner); {
			case !b.prefix(at, q):
			case u.Local:
				b.fault(at, "a local mitigator assigns no addresses", "move it to the provider's uplink")
			case other != "":
				b.fault(at, fmt.Sprintf("%v overlaps %v of uplink %q", q, r, other), "an address has one provider: make a farm of several servers of one")
			default:
				seen.Insert(q, owner)
				of[owner] = append(of[owner], q)
			}
		}
	}
	for owner, all := range of { // two halves are asked for as their whole
		for _, q := range joined(outermost(all), func(netip.Prefix) bool { return true }) {
			b.policy.assigned.Insert(q, owner)
		}
	}
}

// prefix checks a prefix that somebody is to own: written well, and of addresses that can be owned.
func (b *builder) prefix(at string, p netip.Prefix) bool {
	switch {
	case !p.IsValid():
		b.fault(at, "is no prefix", "write it as 192.0.2.0/24 or 2001:db8::/32")
		return false
	case p.Masked() != p:
		b.fault(at, fmt.Sprintf("%v has host bits set", p), fmt.Sprintf("write %v", p.Masked()))
		return false
	}
	bad := reserved()
	if k := slices.IndexFunc(bad, p.Overlaps); k >= 0 {
		b.fault(at, fmt.Sprintf("%v takes in %v, which nobody owns", p, bad[k]), "name only addresses of the domain's own")
		return false
	}
	return true
}

// overlapping returns another owner of an address of p, and which of its prefixes that is; empty: none.
func overlapping(t *bart.Table[string], p netip.Prefix, self string) (string, netip.Prefix) {
	if !p.IsValid() {
		return "", p
	}
	for q, owner := range t.Supernets(p) {
		if owner != self {
			return owner, q
		}
	}
	for q, owner := range t.Subnets(p) {
		if owner != self {
			return owner, q
		}
	}
	return "", netip.Prefix{}
}

// sharedAddresses refuses two domains that are known outside by the same address, even by different ports of it. A request asks for its ports at all
// its addresses, so that one domain's could reach the other's; and under one cuid the server would take them for one client's and
// delete the earlier. Only translation makes two domains' addresses meet.
//
// RFC 9132, Section 4.4.1: a target must be of the client's domain. RFC 9132, Section 4.4.1.3: of one client's overlapping requests the higher mid stands.
func (b *builder) sharedAddresses(list []Domain) {
	if !slices.ContainsFunc(list, func(d Domain) bool { return len(d.NAT) > 0 }) {
		return
	}
	var seen bart.Table[string]
	for i, d := range list {
		for _, p := range d.outside() {
			if other, q := overlapping(&seen, p, d.Name); other != "" {
				b.fault(fmt.Sprintf("domains[%d].nat", i), fmt.Sprintf("%v outside overlaps %v of domain %q", p, q, other),
					"give each domain addresses of its own outside, or make them one domain")
				break
			}
			if p.IsValid() {
				seen.Insert(p, d.Name)
			}
		}
	}
}

// outside lists the domain's prefixes as uplinks know them.
func (d Domain) outside() []netip.Prefix {
	if len(d.NAT) == 0 {
		return d.Prefixes
	}
	out := make([]netip.Prefix, 0, len(d.NAT))
	for _, m := range d.NAT {
		out = append(out, m.Outside)
	}
	return out
}
