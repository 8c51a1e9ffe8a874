package resolve

import (
	"fmt"
	"strings"
)

const (
	maxName  = 253 // characters of a name without its final dot
	maxLabel = 63
)

// CheckName returns the name in lower case and without a final dot. Its error wraps ErrName unless the name consists of
// labels of letters, digits and hyphens, at most 253 characters in all, and its last label is not a number, which would be
// an address.
func CheckName(name string) (string, error) {
	// RFC 1123, Section 2.1: letters, digits and hyphens, not at the ends, and a name that looks like an address is none.
	bare := strings.TrimSuffix(name, ".")
	if len(bare) > maxName {
		return "", fmt.Errorf("%w: %d characters, at most %d", ErrName, len(bare), maxName)
	}
	last := ""
	for label := range strings.SplitSeq(bare, ".") {
		if !validLabel(label) {
			return "", fmt.Errorf("%w: %.80q", ErrName, name)
		}
		last = label
	}
	if strings.Trim(last, "0123456789") == "" {
		return "", fmt.Errorf("%w: %.80q ends in a number", ErrName, name)
	}
	return strings.ToLower(bare), nil // only now: some letters beyond ASCII have a lower case within
}

func validLabel(label string) bool {
	if label == "" || len(label) > maxLabel || label[0] == '-' || label[len(label)-1] == '-' {
		return false
	}
	for i := range len(label) {
		c := label[i]
		if lower := c | 0x20; (lower < 'a' || lower > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}
