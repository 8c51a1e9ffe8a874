package wire

import (
	"net/netip"
	"strings"
	"testing"
)

func TestCheckTarget(t *testing.T) {
	// RFC 9132, Section 4.4.1: no broadcast, loopback or multicast addresses.
	for _, tt := range []struct{ prefix, want string }{
		{"192.0.2.0/24", ""},
		{"192.0.2.1/32", ""},
		{"10.0.0.0/8", ""},
		{"1.0.0.0/8", ""},
		{"2001:db8::/32", ""},
		{"fe80::/10", ""},
		{"2000::/3", ""},
		{"254.0.0.0/8", ""},
		{"0.0.0.0/0", "unspecified address"},
		{"0.0.0.0/7", "unspecified address"},
		{"0.1.2.0/24", "unspecified address"},
		{"126.0.0.0/7", "loopback address"},
		{"127.255.255.255/32", "loopback address"},
		{"224.0.0.0/3", "multicast address"},
		{"239.0.0.0/8", "multicast address"},
		{"255.255.255.0/24", "broadcast address"},
		{"248.0.0.0/5", "broadcast address"},
		{"::/128", "unspecified address"},
		{"::/127", "unspecified address"},
		{"::1/128", "loopback address"},
		{"ff00::/8", "multicast address"},
		{"8000::/1", "multicast address"},
		{"::ffff:0:0/96", "IPv4-mapped address"},
		{"192.0.2.1/24", "host bits set"},
		{"2001:db8::1/64", "host bits set"},
	} {
		if got := CheckTarget(netip.MustParsePrefix(tt.prefix)); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.prefix, got, tt.want)
		}
	}
}

func TestCheckSource(t *testing.T) {
	// RFC 9066, Section 5.3.1: link-local addresses are allowed.
	for s, want := range map[string]string{
		"0.0.0.0/0": "", "fe80::/10": "", "192.0.2.1/24": "", "127.0.0.0/8": "loopback address", "ff02::1/128": "multicast address",
		"255.255.255.255/32": "broadcast address",
	} {
		if got := CheckSource(netip.MustParsePrefix(s)); got != want {
			t.Errorf("%s: got %q", s, got)
		}
	}
}

func TestCheckName(t *testing.T) {
	label := strings.Repeat("a", 63)
	long := strings.Join([]string{label, label, label, strings.Repeat("a", 61)}, ".")
	for _, good := range []string{"a", "a.example", "A-1.example.", "xn--bcher-kva.example", "1and1.example", "3.2.1.in-addr.arpa", long} {
		if what := CheckName(good); what != "" {
			t.Errorf("%s: %s", good, what)
		}
	}
	for _, bad := range []string{
		"", ".", "a..b", ".a", "-a", "a-.example", "a_b.example", "*.example", "b\u00fccher.example", "a b", "a\x00", "192.0.2.1",
		"2001:db8::1", label + "a", "a" + long,
	} {
		if CheckName(bad) == "" {
			t.Errorf("%q accepted", bad)
		}
	}
}

func TestCheckURI(t *testing.T) {
	for _, good := range []string{"https://a.example", "coaps+tcp://[2001:db8::1]:5684/x?y", "HTTP://a.example:80/"} {
		if what := CheckURI(good); what != "" {
			t.Errorf("%s: %s", good, what)
		}
	}
	for _, bad := range []string{"", "a.example", "//a.example/", "mailto:a@b", "https://", "https://:443/", "http://a b/", "http://a\n/", "%"} {
		if CheckURI(bad) == "" {
			t.Errorf("%q accepted", bad)
		}
	}
}

func TestCheckText(t *testing.T) {
	for s, ok := range map[string]bool{"a": true, "\u00e4 b": true, "": false, "\xff": false, "a\nb": false, "\x7f": false, "\x00": false} {
		if got := CheckText(s) == ""; got != ok {
			t.Errorf("%q: %v", s, got)
		}
	}
}

func TestTwice(t *testing.T) {
	same := func(v int) int { return v }
	long := make([]int, 40)
	for i := range long {
		long[i] = i
	}
	if Twice(nil, same) || Twice([]int{1, 2, 3}, same) || Twice(long, same) {
		t.Error("different elements found the same")
	}
	long[39] = 7
	if !Twice([]int{1, 2, 1}, same) || !Twice(long, same) {
		t.Error("the same element not found")
	}
}
