package policy

import "strings"

// maxName is the greatest length of a host name, in bytes (RFC 1035, Section 2.3.4).
const maxName = 253

// normalName returns a host name in lower case without its trailing dot; false: it is none. What ends in a number is refused,
// because other readers could take it for an address.
func normalName(s string) (string, bool) {
	s = strings.ToLower(strings.TrimSuffix(s, "."))
	if s == "" || len(s) > maxName {
		return "", false
	}
	last := ""
	for label := range strings.SplitSeq(s, ".") {
		if !goodLabel(label) {
			return "", false
		}
		last = label
	}
	return s, !numeric(last)
}

// goodLabel reports whether a label is of letters, digits, hyphens and underscores, and of a legal length.
func goodLabel(l string) bool {
	if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' {
		return false
	}
	for i := range len(l) {
		c := l[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// numeric reports whether some reader of addresses could take a label for a number: decimal, or hexadecimal after 0x.
func numeric(l string) bool {
	if hex, ok := strings.CutPrefix(l, "0x"); ok {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return strings.Trim(l, "0123456789") == ""
}

// nameSet holds names that are owned with everything below them.
type nameSet map[string]struct{}

// covers reports whether a name in normal form is in the set or below one of it.
func (s nameSet) covers(name string) bool {
	for {
		if _, ok := s[name]; ok {
			return true
		}
		_, parent, ok := strings.Cut(name, ".")
		if !ok {
			return false
		}
		name = parent
	}
}
