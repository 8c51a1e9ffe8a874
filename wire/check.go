package wire

import (
	"net/netip"
	"net/url"
	"strings"
	"unicode/utf8"
)

// The checks below are syntax, the same in every profile. They return "" for what is acceptable and else what is
// wrong, in a few words. Whether a target belongs to the client is decided elsewhere.

// CheckTarget tells what is wrong with a target prefix. RFC 9132, Section 4.4.1: no broadcast, loopback or multicast.
// A prefix that merely contains such addresses is refused too, and so are host bits after the length: what they ask
// for is ambiguous, and masking would protect more than was named.
func CheckTarget(p netip.Prefix) string {
	if p.Addr().Is4In6() {
		return "IPv4-mapped address"
	}
	if p != p.Masked() {
		return "host bits set"
	}
	if p.Addr().Is4() {
		switch {
		case p.Overlaps(v4Prefix(0, 8)):
			return "unspecified address"
		case p.Overlaps(v4Prefix(127, 8)):
			return "loopback address"
		case p.Overlaps(v4Prefix(224, 4)):
			return "multicast address"
		case p.Contains(netip.AddrFrom4([4]byte{255, 255, 255, 255})):
			return "broadcast address"
		}
		return ""
	}
	switch {
	case p.Contains(netip.IPv6Unspecified()):
		return "unspecified address"
	case p.Contains(netip.IPv6Loopback()):
		return "loopback address"
	case p.Overlaps(v6Prefix(0, 0xff, 8)):
		return "multicast address"
	case p.Overlaps(mapped()):
		return "IPv4-mapped address"
	}
	return ""
}

// CheckSource tells what is wrong with a source prefix. RFC 9066, Section 5.3.1: no broadcast, loopback or
// multicast; any length.
func CheckSource(p netip.Prefix) string {
	a := p.Addr()
	switch {
	case a.IsLoopback():
		return "loopback address"
	case a.IsMulticast():
		return "multicast address"
	case a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return "broadcast address"
	}
	return ""
}

func v4Prefix(first byte, bits int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{first}), bits)
}

func v6Prefix(at int, value byte, bits int) netip.Prefix {
	var a [16]byte
	a[at] = value
	return netip.PrefixFrom(netip.AddrFrom16(a), bits)
}

// mapped is ::ffff:0:0/96.
func mapped() netip.Prefix {
	var a [16]byte
	a[10], a[11] = 0xff, 0xff
	return netip.PrefixFrom(netip.AddrFrom16(a), 96)
}

// The lengths of a name and of one of its labels (RFC 1035, Section 2.3.4).
const (
	maxName  = 253
	maxLabel = 63
)

// CheckName tells what is wrong with a domain name: labels are letters, digits and inner hyphens, there is no
// wildcard, and an address is no name. A final dot is allowed.
func CheckName(name string) string {
	bare := strings.TrimSuffix(name, ".")
	if bare == "" {
		return "empty"
	}
	if len(bare) > maxName {
		return "name too long"
	}
	for label := range strings.SplitSeq(bare, ".") {
		if !validLabel(label) {
			return "not a domain name"
		}
	}
	if _, err := netip.ParseAddr(bare); err == nil {
		return "an address is not a domain name"
	}
	return ""
}

func validLabel(label string) bool {
	if label == "" || len(label) > maxLabel || label[0] == '-' || label[len(label)-1] == '-' {
		return false
	}
	for i := range len(label) {
		c := label[i]
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		digit := c >= '0' && c <= '9'
		if !letter && !digit && c != '-' {
			return false
		}
	}
	return true
}

// CheckURI tells what is wrong with a target URI: it needs a scheme and a host, which name a protocol and
// an address or a domain name (RFC 9132, Section 4.4.1).
func CheckURI(uri string) string {
	if uri == "" {
		return "empty"
	}
	u, err := url.Parse(uri)
	if err != nil {
		return "not a URI"
	}
	if u.Scheme == "" || u.Hostname() == "" {
		return "scheme or host missing"
	}
	return ""
}

// CheckText tells what is wrong with a string that has no syntax of its own: it must not be empty, must be
// UTF-8 and free of control characters.
func CheckText(s string) string {
	if s == "" {
		return "empty"
	}
	if !utf8.ValidString(s) {
		return "not UTF-8"
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r == 0x7f }) {
		return "control character"
	}
	return ""
}

// Twice reports whether two elements of a list have the same key.
func Twice[T any, K comparable](list []T, key func(T) K) bool {
	const few = 16
	if len(list) <= few {
		for i := range list {
			for _, earlier := range list[:i] {
				if key(earlier) == key(list[i]) {
					return true
				}
			}
		}
		return false
	}
	seen := make(map[K]struct{}, len(list))
	for _, v := range list {
		seen[key(v)] = struct{}{}
	}
	return len(seen) < len(list)
}
