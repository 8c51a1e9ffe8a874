package config

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/policy"
)

// natFile is a file with the translation of a domain.
type natFile struct {
	domain int // its index
	path   string
}

// fixNAT says what a translation file holds.
const fixNAT = "write lines: - {inside: 10.0.0.1/32, outside: 192.0.2.1/32}"

// translation reads a domain's address translation, from the configuration or from a file of its own.
func (b *builder) translation(i int, f fileDomain) []policy.Mapping {
	at := fmt.Sprintf("domains[%d]", i)
	if f.NATFile == "" {
		return mappings(b.source, at+".nat", f.NAT)
	}
	if len(f.NAT) > 0 {
		b.add(at+".nat", "there is a nat_file, too", "keep one of the two")
	}
	path := b.path(f.NATFile)
	text := b.file(at+".nat_file", path, "")
	if text == nil {
		return nil
	}
	s, ms := readMappings(path, text)
	b.nat[i] = s
	b.natFiles = append(b.natFiles, natFile{i, path})
	return ms
}

// readMappings reads the text of a translation file. What is wrong with it is noted in the source.
func readMappings(path string, text []byte) (*source, []policy.Mapping) {
	var list []fileMapping
	s := parse(path, text, &list, fixNAT)
	if s.unusable {
		return s, nil
	}
	if len(list) == 0 { // an empty table would show the inside to everybody
		s.add("", "there is no mapping in it", fixNAT)
	}
	return s, mappings(s, "", list)
}

// mappings turns the words about address translation into policy's.
func mappings(s *source, at string, fs []fileMapping) []policy.Mapping {
	var ms []policy.Mapping
	for i, f := range fs {
		own := fmt.Sprintf("%s[%d]", at, i)
		m := policy.Mapping{Inside: translated(s, own+".inside", f.Inside), Outside: translated(s, own+".outside", f.Outside)}
		m.InsidePorts, m.OutsidePorts = ports(s, own+".inside_ports", f.InsidePorts), ports(s, own+".outside_ports", f.OutsidePorts)
		ms = append(ms, m)
	}
	return ms
}

// translated reads one side of a mapping: a prefix, or an address for the prefix of it alone.
func translated(s *source, path, text string) netip.Prefix {
	if text == "" {
		s.add(path, missing, "give both inside and outside, each an address or a prefix")
		return netip.Prefix{}
	}
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a, a.BitLen())
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		s.addf(path, "use an address or ADDRESS/LENGTH, such as 192.0.2.1 or 192.0.2.0/24", "%q is no prefix", text)
	}
	return p
}

// ports reads the ports of one side; empty: zero, which means all.
func ports(s *source, path, text string) dots.PortRange {
	if text == "" {
		return dots.PortRange{}
	}
	r, ok := PortRange(text)
	if !ok {
		s.addf(path, "use a port or a range, such as 443 or 8000-8080", "%q is no port", text)
	}
	return r
}

// NATFiles lists the files with the address translation of domains, for whoever watches them.
func (c *Config) NATFiles() []string {
	paths := make([]string, len(c.natFiles))
	for i, f := range c.natFiles {
		paths[i] = f.path
	}
	return paths
}

// Retranslated reads the files with the address translation again and returns a copy of c with the policy that follows; everything else
// is as it was. Its error is an Errors with every mistake that was found.
func (c *Config) Retranslated() (*Config, error) {
	n := *c
	n.words.Domains = slices.Clone(c.words.Domains)
	b := &builder{source: &source{name: c.File}, nat: map[int]*source{}}
	for _, f := range c.natFiles {
		text, err := readFile(f.path)
		if err != nil {
			b.nat[f.domain] = &source{name: f.path}
			b.nat[f.domain].add("", cause(err), "check the path and its rights")
			continue
		}
		b.nat[f.domain], n.words.Domains[f.domain].NAT = readMappings(f.path, text)
	}
	if all := b.all(); len(all) > 0 {
		return nil, all
	}
	var err error
	if n.Policy, err = policy.New(n.words); err != nil {
		b.complain(err)
		return nil, b.all()
	}
	return &n, nil
}

// recursion reads when a domain goes on from its local mitigators to its uplinks.
func (b *builder) recursion(at string, f fileRecursion) policy.Recursion {
	r := policy.Recursion{OnExceeded: f.OnExceeded, PktsPerSecond: f.PPS, BytesPerSecond: f.BPS, Mitigations: f.Mitigations}
	if f.Low != nil {
		if r.Low = *f.Low; r.Low <= 0 || r.Low > 1 {
			b.addf(at+".low", "use a share above 0 and up to 1, such as 0.7", "%v is out of range", r.Low)
		}
	}
	if f.Hold != "" {
		r.Hold = b.duration(at+".hold", f.Hold, span{policy.DefaultRecursionHold, time.Second, 24 * time.Hour})
	}
	return r
}
