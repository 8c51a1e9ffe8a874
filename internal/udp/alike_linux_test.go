package udp

import (
	"net/netip"
	"testing"
)

// Only what is behind each other, of one length and on one path goes together, and not too much of it.
func TestAlike(t *testing.T) {
	a, b := Path{Peer: netip.MustParseAddrPort("192.0.2.1:1")}, Path{Peer: netip.MustParseAddrPort("192.0.2.1:2")}
	moved := a
	moved.Local = netip.MustParseAddr("192.0.2.9")
	many := func(n, length int) (list []letter) {
		for i := range n {
			list = append(list, letter{i * length, (i + 1) * length, a})
		}
		return list
	}
	for name, tt := range map[string]struct {
		letters []letter
		want    int
	}{
		"one":                 {[]letter{{0, 5, a}}, 1},
		"two":                 {[]letter{{0, 5, a}, {5, 10, a}}, 2},
		"another length":      {[]letter{{0, 5, a}, {5, 10, a}, {10, 14, a}}, 2},
		"another peer":        {[]letter{{0, 5, a}, {5, 10, b}}, 1},
		"from elsewhere":      {[]letter{{0, 5, a}, {5, 10, moved}}, 1},
		"not behind each one": {[]letter{{0, 5, a}, {6, 11, a}}, 1},
		"nothing in them":     {[]letter{{0, 0, a}, {0, 0, a}}, 1},
		"long":                {many(3, longestPart+1), 1},
		"as long as may be":   {many(3, longestPart), 3},
		"many":                {many(longestRun+1, 100), longestRun},
	} {
		if got := alike(tt.letters); got != tt.want {
			t.Errorf("%s: %d, want %d", name, got, tt.want)
		}
	}
}
