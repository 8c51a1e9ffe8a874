package policy

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// rules checks and takes the domain's choices.
func (b *builder) rules(path string, c Domain, d *domain) {
	d.overlap, d.onDNS = cmp.Or(c.OnOverlap, OverlapMerge), cmp.Or(c.OnDNSFailure, DNSRefuse)
	switch d.overlap {
	case OverlapMerge, OverlapRejectNew:
	case OverlapKeepBoth:
		for _, u := range d.route.all(b.policy) {
			if mode := b.policy.uplinks[u].mode; mode != CUIDPerClient {
				b.fault(path+".on_overlap", fmt.Sprintf("keep-both, but the clients share a cuid at uplink %q, which is %s", u, mode),
					"use merge, or cuid: per-client at every uplink of the domain")
				break
			}
		}
	default:
		b.fault(path+".on_overlap", fmt.Sprintf("%q is not known", c.OnOverlap), "use merge, keep-both or reject-new")
	}
	if d.onDNS != DNSRefuse && d.onDNS != DNSAllow {
		b.fault(path+".on_dns_failure", fmt.Sprintf("%q is not known", c.OnDNSFailure), "use refuse or allow")
	}
	d.consult = c.Consult
}

// route checks and takes where a domain's mitigations go.
func (b *builder) route(path string, c Domain) route {
	r := route{
		uplinks: b.destinations(path+".uplinks", c.Uplinks), mitigators: b.destinations(path+".mitigators", c.Mitigators),
		strategy: cmp.Or(c.Strategy, StrategyFailover),
	}
	if len(c.Uplinks) == 0 {
		r.uplinks = b.only(path+".uplinks", r.mitigators)
	}
	for i, name := range c.Uplinks {
		at := fmt.Sprintf("%s.uplinks[%d]", path, i)
		switch {
		case b.policy.uplinks[name].local:
			b.fault(at, fmt.Sprintf("%q is a local mitigator", name), "name it under mitigators")
		case slices.Contains(c.Mitigators, name):
			b.fault(at, fmt.Sprintf("%q is under mitigators, too", name), "take it out of one")
		}
	}
	switch r.strategy {
	case StrategyFailover, StrategySerial, StrategyPartition, StrategyAll:
	default:
		b.fault(path+".strategy", fmt.Sprintf("%q is not known", c.Strategy), "use failover, serial, partition or all")
	}
	return r
}

// destinations checks names of uplinks and farms. It returns a copy of those that are good.
func (b *builder) destinations(path string, names []string) []string {
	var good []string
	if len(b.policy.uplinks) == 0 { // of which there is a word elsewhere
		return nil
	}
	for i, name := range names {
		at := fmt.Sprintf("%s[%d]", path, i)
		farm, member := b.policy.farmOf[name]
		switch {
		case !b.policy.Reaches(name):
			b.fault(at, fmt.Sprintf("%q is not known", name), "name one of the uplinks or mitigators")
		case member:
			b.fault(at, fmt.Sprintf("%q is one server of farm %q", name, farm), fmt.Sprintf("name %s", farm))
		case slices.Contains(good, name):
			b.fault(at, fmt.Sprintf("%q is named twice", name), "take it out of one line")
		default:
			good = append(good, name)
		}
	}
	return good
}

// only returns the only uplink or farm that there is, for a domain that names none. One that has mitigators needs none.
func (b *builder) only(path string, mitigators []string) []string {
	var found []string
	for _, name := range b.policy.Uplinks() {
		if name = b.policy.logical(name); b.policy.Reaches(name) && !b.policy.uplinks[name].local && !slices.Contains(found, name) && !slices.Contains(mitigators, name) {
			found = append(found, name)
		}
	}
	switch {
	case len(found) == 1:
		return found
	case len(mitigators) > 0 || len(b.policy.uplinks) == 0: // none at all is another fault
		return nil
	case len(found) == 0:
		b.fault(path, "is missing, and there are local mitigators only", "name mitigators, or add an uplink")
	default:
		b.fault(path, "is missing, and there are several uplinks", "name one of the uplinks")
	}
	return nil
}

// recursion checks and takes when a domain's mitigations go on from the local mitigators.
func (b *builder) recursion(path string, r Recursion, to route) Recursion {
	path += ".recursion"
	switch {
	case r == Recursion{}:
	case len(to.mitigators) == 0:
		b.fault(path, "the domain has no local mitigators to go on from", "name mitigators, or take recursion out")
	case len(to.uplinks) == 0:
		b.fault(path, "the domain has no uplinks to go on to", "name uplinks, or take recursion out")
	}
	if r.Mitigations < 0 {
		b.fault(path+".mitigations", fmt.Sprintf("%d is negative", r.Mitigations), "give a number from 1 on, or leave it out")
	}
	if !(r.Low >= 0 && r.Low <= 1) { // NaN is neither
		b.fault(path+".low", fmt.Sprintf("%v is no share of a threshold", r.Low), "give a number from 0 to 1, such as 0.7")
	}
	if r.Hold < 0 {
		b.fault(path+".hold", fmt.Sprintf("%v is negative", r.Hold), "give a duration such as 5m")
	}
	r.Low, r.Hold = cmp.Or(r.Low, DefaultRecursionLow), cmp.Or(r.Hold, DefaultRecursionHold)
	r.Hold = max(r.Hold, time.Duration(0))
	return r
}
