package policy

import (
	"net/netip"
	"strings"

	"github.com/dotsgate/dotsgate/dots"
)

// leniency says what becomes of names without an answer.
type leniency uint8

const (
	strict  leniency = iota // ask for those not asked yet; a failure is refused unless the domain allows it
	known                   // of a refresh: ask for those not asked yet; a failure is passed over
	lenient                 // of a recheck: neither asks nor refuses
)

// host is a name of a request, with the parameter that it came in.
type host struct{ parameter, name string }

// known counts the pieces of a prefix of the domain as it is known outside; 0: it is not, or not whole, with any of the ports.
func (d *domain) known(p netip.Prefix, ports []dots.PortRange) int {
	if d.nat == nil {
		return 1
	}
	switch pieces, whole := d.nat.pieces(p, ports); {
	case whole, len(pieces) > maxPieces:
		return len(pieces)
	}
	return 0
}

// expansion is a target on its way to a Grant.
type expansion struct {
	domain  *domain
	target  dots.Target
	exp     Expanded
	hosts   []host
	missing []string // names to ask for
	partial bool     // a name's addresses are not known
	pieces  int      // of the addresses as they are known outside
	trace   *trace   // nil: nobody asks why
}

// expand appends aliases, checks that everything is the domain's, and gathers addresses. Where names are missing, the rest is checked all the same.
func (d *domain) expand(v View, t dots.Target, l leniency, why *trace) (expansion, *dots.Error) {
	x := expansion{domain: d, trace: why}
	var err *dots.Error
	if x.target, err = d.withAliases(t, why); err != nil {
		return x, err
	}
	if x.target.Empty() {
		// RFC 9132, Section 4.4.1: at least one of target-prefix, target-fqdn, target-uri and alias-name is mandatory.
		return x, dots.Refuse(dots.CodeBadRequest, "no target")
	}
	x.target.Prefixes = masked(x.target.Prefixes)
	x.exp.Aliases = append(x.exp.Aliases, t.Aliases...)
	for _, step := range []func() *dots.Error{x.checkPrefixes, x.checkNames, x.checkURIs} {
		if err := step(); err != nil {
			return x, err
		}
	}
	x.hosts = unique(x.hosts)
	x.exp = x.exp.normal()
	if l == strict && len(x.exp.Names) > d.limits.maxNames {
		return x, dots.Refuse(dots.CodeBadRequest, "too many names to resolve")
	}
	err = x.resolve(v, l)
	x.exp = x.exp.normal()
	return x, err
}

// checkPrefixes tests the prefixes asked for.
//
// RFC 9132, Section 4.4.1: a target-prefix must be of the client's domain.
func (x *expansion) checkPrefixes() *dots.Error {
	for _, p := range x.target.Prefixes {
		err := x.address(p, "target-prefix", p.String)
		x.trace.step("target-prefix", result(err), func() (string, string) { return p.String(), x.domain.whose(p) })
		if err != nil {
			return err
		}
	}
	return nil
}

// address tests a prefix, and adds it. A refusal names the parameter and the value that it stands for.
func (x *expansion) address(p netip.Prefix, parameter string, value func() string) *dots.Error {
	if !x.domain.ownsPrefix(p) {
		return refusal(parameter, value(), "not yours")
	}
	n := x.domain.known(p, x.target.Ports)
	x.pieces += n
	switch {
	case n == 0:
		return refusal(parameter, value(), "has no outside address")
	case x.domain.nat != nil && x.pieces > maxPieces:
		return dots.Refuse(dots.CodeBadRequest, "target has too many parts: ask for less at a time")
	}
	x.exp.Prefixes = append(x.exp.Prefixes, p)
	return nil
}

// checkNames tests that the names asked for are the domain's; their addresses are tested by resolve.
func (x *expansion) checkNames() *dots.Error {
	for _, s := range x.target.FQDNs {
		err := x.name(s)
		x.trace.step("target-fqdn", result(err), func() (string, string) { return s, x.domain.whoseName(s) })
		if err != nil {
			return err
		}
	}
	return nil
}

// name tests a name, and adds it.
func (x *expansion) name(s string) *dots.Error {
	name, ok := normalName(s)
	switch {
	case !ok:
		return refusal("target-fqdn", s, "is no name")
	case !x.domain.names.covers(name):
		return refusal("target-fqdn", s, "not yours")
	}
	x.exp.Names = append(x.exp.Names, name)
	x.hosts = append(x.hosts, host{"target-fqdn", name})
	return nil
}

// checkURIs tests the URIs asked for: an address in one at once, a name in one by resolve.
func (x *expansion) checkURIs() *dots.Error {
	for _, s := range x.target.URIs {
		err := x.uri(s)
		x.trace.step("target-uri", result(err), func() (string, string) { return s, "by its host or its beginning" })
		if err != nil {
			return err
		}
	}
	return nil
}

// uri tests a URI, and adds it.
func (x *expansion) uri(s string) *dots.Error {
	u, ok := parseURI(s)
	switch {
	case !ok:
		return refusal("target-uri", s, "has no clear host")
	case !x.domain.ownsURI(u):
		return refusal("target-uri", s, "not yours")
	}
	x.exp.URIs = append(x.exp.URIs, u.String())
	if u.addr.IsValid() {
		return x.address(netip.PrefixFrom(u.addr, u.addr.BitLen()), "target-uri", func() string { return s })
	}
	x.exp.Names = append(x.exp.Names, u.host)
	x.hosts = append(x.hosts, host{"target-uri", u.host})
	return nil
}

// resolve tests the addresses of every name and adds them.
//
// RFC 9132, Section 4.4.1: the checks of a target-prefix apply to every address that a name resolves to.
func (x *expansion) resolve(v View, l leniency) *dots.Error {
	for _, h := range x.hosts {
		r, ok := v.Resolved(h.name)
		if !ok && l != lenient {
			x.missing = append(x.missing, h.name)
		}
		var err *dots.Error
		if ok {
			err = x.answer(h, r, l)
		} else {
			x.partial = true
		}
		x.trace.step("resolution", result(err), func() (string, string) { return h.name, sayResolution(r, ok) })
		if err != nil {
			return err
		}
	}
	x.missing = sorted(x.missing, strings.Compare)
	return nil
}

// answer tests what a name resolved to.
func (x *expansion) answer(h host, r Resolution, l leniency) *dots.Error {
	if r.Failed || len(r.Addresses) == 0 {
		x.partial = true
		switch {
		case l != strict || r.Failed && x.domain.onDNS == DNSAllow && x.domain.nat == nil: // no name goes through a translation
			return nil
		case r.Failed:
			return unavailable(clip(h.parameter+" cannot be resolved now", dots.MaxDiagnostic), x.domain.limits.retryAfter)
		}
		return refusal(h.parameter, h.name, "has no address")
	}
	for _, a := range r.Addresses {
		if !x.domain.ownsAddress(a) {
			return refusal(h.parameter, h.name, "leads outside")
		}
		if err := x.address(netip.PrefixFrom(a, a.BitLen()), h.parameter, func() string { return h.name }); err != nil {
			return err
		}
	}
	return nil
}
