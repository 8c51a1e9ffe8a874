package config

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/policy"
)

// policyConfig turns the words about domains, clients and uplinks into policy's.
func (b *builder) policyConfig(f *file) policy.Config {
	pc := policy.Config{Defaults: b.defaults(f.Limits)}
	b.policyUplinks(f, &pc)
	for i, c := range f.Classes {
		b.named(fmt.Sprintf("classes[%d].name", i), c.Name)
		pc.Classes = append(pc.Classes, policy.Class{Name: c.Name, Guest: c.Guest, Limits: b.limits(c.Limits)})
	}
	general := b.limits(f.Limits)
	for name, n := range map[string]*int{
		"max_observers": f.Limits.MaxObservers, "requests_per_minute": f.Limits.RequestsPerMinute, "new_cuids_per_hour": f.Limits.NewCUIDsPerHour,
	} {
		if n != nil && *n < 1 {
			b.addf("limits."+name, "give a number from 1 on, or leave it out", "%d is too few", *n)
		}
	}
	for i, d := range f.Domains {
		made := b.domain(i, d)
		for _, l := range []struct{ own, general *dots.Maybe[int] }{
			{&made.Limits.MaxObservers, &general.MaxObservers},
			{&made.Limits.RequestsPerMinute, &general.RequestsPerMinute},
			{&made.Limits.NewCUIDsPerHour, &general.NewCUIDsPerHour},
		} {
			if !l.own.Set && l.general.Value > 0 { // of any other there is a word already
				*l.own = *l.general
			}
		}
		pc.Domains = append(pc.Domains, made)
	}
	return pc
}

func (b *builder) defaults(f fileLimits) policy.Defaults {
	var d policy.Defaults
	l := b.limits(f)
	d.MaxLifetime = l.MaxLifetime.Or(0)
	d.AllowIndefinite = l.AllowIndefinite.Or(true)
	d.DefaultGrantForIndefinite = l.DefaultGrantForIndefinite.Or(0)
	d.MaxMitigations = l.MaxMitigations.Or(0)
	d.MaxCUIDs = l.MaxCUIDs.Or(0)
	if f.MaxNamesInTarget != nil {
		d.MaxNames = *f.MaxNamesInTarget
	}
	return d
}

func (b *builder) limits(f fileLimits) policy.Limits {
	var l policy.Limits
	if f.MaxLifetime != nil {
		l.MaxLifetime = dots.Some(dots.Lifetime(*f.MaxLifetime))
	}
	if f.IndefiniteGrant != nil {
		l.DefaultGrantForIndefinite = dots.Some(dots.Lifetime(*f.IndefiniteGrant))
	}
	l.AllowIndefinite = maybe(f.AllowIndefinite)
	l.MaxMitigations = maybe(f.MaxMitigations)
	l.MaxCUIDs = maybe(f.MaxCUIDs)
	l.MaxObservers = maybe(f.MaxObservers)
	l.RequestsPerMinute = maybe(f.RequestsPerMinute)
	l.NewCUIDsPerHour = maybe(f.NewCUIDsPerHour)
	return l
}

// maybe turns a setting that may be missing into the vocabulary's form.
func maybe[T any](p *T) dots.Maybe[T] {
	if p == nil {
		return dots.Maybe[T]{}
	}
	return dots.Some(*p)
}

func (b *builder) domain(i int, f fileDomain) policy.Domain {
	at := fmt.Sprintf("domains[%d]", i)
	d := policy.Domain{
		Name: f.Name, Names: f.Names, URIs: f.URIs, Uplinks: f.Uplinks, Mitigators: f.Mitigators, Consult: f.Consult,
		Limits: b.limits(f.Limits), Strategy: policy.Strategy(f.Strategy),
		Recursion: b.recursion(at+".recursion", f.Recursion), NAT: b.translation(i, f),
		Prefixes:     b.prefixes(at+".prefixes", f.Prefixes),
		OnOverlap:    policy.OverlapRule(f.OnOverlap),
		OnDNSFailure: policy.DNSRule(f.OnDNSFailure),
		Aliases:      map[string]dots.Target{},
	}
	b.named(at+".name", f.Name)
	for name, a := range f.Aliases {
		b.named(at+".aliases."+name, name)
		d.Aliases[name] = b.alias(at+".aliases."+name, a)
	}
	if f.Consult && !b.asks {
		b.add(at+".consult", "there is nobody to ask", "add aaa with radius or http")
	}
	for j, c := range f.Clients {
		d.Clients = append(d.Clients, b.client(fmt.Sprintf("%s.clients[%d]", at, j), c))
	}
	return d
}

func (b *builder) prefixes(at string, texts []string) []netip.Prefix {
	ps := make([]netip.Prefix, 0, len(texts))
	for i, text := range texts {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			b.addf(fmt.Sprintf("%s[%d]", at, i), "use ADDRESS/LENGTH, such as 192.0.2.0/24", "%q is no prefix", text)
		}
		ps = append(ps, p)
	}
	return ps
}

func (b *builder) alias(at string, f fileAlias) dots.Target {
	t := dots.Target{Prefixes: b.prefixes(at+".prefixes", f.Prefixes), FQDNs: f.Names, URIs: f.URIs}
	for i, text := range f.Ports {
		if r, ok := PortRange(text); ok {
			t.Ports = append(t.Ports, r)
		} else {
			b.addf(fmt.Sprintf("%s.ports[%d]", at, i), "use a port or a range, such as 443 or 8000-8080", "%q is no port", text)
		}
	}
	for i, n := range f.Protocols {
		b.between(fmt.Sprintf("%s.protocols[%d]", at, i), n, 0, 255)
		t.Protocols = append(t.Protocols, uint8(n)) // checked in the line above
	}
	return t
}

// PortRange reads "443" or "8000-8080".
func PortRange(text string) (dots.PortRange, bool) {
	low, high, found := strings.Cut(text, "-")
	if !found {
		high = low
	}
	l, err1 := strconv.ParseUint(low, 10, 16)
	h, err2 := strconv.ParseUint(high, 10, 16)
	return dots.PortRange{Lower: uint16(l), Upper: uint16(h)}, err1 == nil && err2 == nil && l <= h
}

func (b *builder) client(at string, f fileClient) policy.ClientEntry {
	c := policy.ClientEntry{
		Name: f.Name, CertNames: f.Credentials.CertNames, PSKIdentities: f.Credentials.PSKIdentities,
		Guest: f.Guest, Class: f.Class, TrustedGateway: f.TrustedGateway,
	}
	b.named(at+".name", f.Name)
	for i, n := range c.CertNames {
		b.named(fmt.Sprintf("%s.credentials.cert_names[%d]", at, i), n)
	}
	for i, n := range c.PSKIdentities {
		b.named(fmt.Sprintf("%s.credentials.psk_identities[%d]", at, i), n)
	}
	for i, text := range f.Credentials.SPKIs {
		sum, err := hex.DecodeString(strings.ReplaceAll(text, ":", ""))
		if err != nil || len(sum) != 32 {
			b.addf(fmt.Sprintf("%s.credentials.spki_sha256[%d]", at, i),
				"use 64 hex digits: openssl x509 -pubkey -noout -in CERT | openssl pkey -pubin -outform DER | sha256sum",
				"%q is no SHA-256", text)
			sum = make([]byte, 32)
		}
		c.SPKIs = append(c.SPKIs, [32]byte(sum))
	}
	return c
}
