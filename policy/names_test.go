package policy

import (
	"strings"
	"testing"
)

func TestNormalName(t *testing.T) {
	tests := []struct {
		in, want string
		ok       bool
	}{
		{"www.example.com", "www.example.com", true},
		{"WWW.Example.COM.", "www.example.com", true},
		{"_dots._udp.example.com", "_dots._udp.example.com", true},
		{"xn--bcher-kva.example", "xn--bcher-kva.example", true},
		{"localhost", "localhost", true},
		{"3com.example", "3com.example", true},
		{"", "", false},
		{".", "", false},
		{"example.com..", "", false},
		{"a..b", "", false},
		{"-a.example", "", false},
		{"a-.example", "", false},
		{"*.example.com", "", false},
		{"bücher.example", "", false},
		{"a b.example", "", false},
		{"example.com\x00.evil", "", false},
		{"198.51.100.1", "198.51.100.1", false},
		{"127.1", "127.1", false},
		{"0x7f.0x1", "0x7f.0x1", false},
		{"2130706433", "2130706433", false},
		{"0x", "0x", false},
		{strings.Repeat("a", 63) + ".example", strings.Repeat("a", 63) + ".example", true},
		{strings.Repeat("a", 64) + ".example", "", false},
		{strings.Repeat("abc.", 63) + "a", strings.Repeat("abc.", 63) + "a", true},
		{strings.Repeat("abc.", 63) + "ab", "", false},
	}
	for _, tt := range tests {
		got, ok := normalName(tt.in)
		if ok != tt.ok || ok && got != tt.want {
			t.Errorf("normalName(%q) = %q, %v, want %q, %v", tt.in, got, ok, tt.want, tt.ok)
		}
	}
}

func TestNameSetCoversSubdomainsOnly(t *testing.T) {
	set := nameSet{"example.com": {}, "deep.example.net": {}}
	tests := []struct {
		name string
		want bool
	}{
		{"example.com", true},
		{"www.example.com", true},
		{"a.b.c.example.com", true},
		{"badexample.com", false},
		{"com", false},
		{"example.com.evil.org", false},
		{"example.net", false},
		{"deep.example.net", true},
		{"notdeep.example.net", false},
		{"", false},
	}
	for _, tt := range tests {
		if got := set.covers(tt.name); got != tt.want {
			t.Errorf("covers(%q) = %v, want %v", tt.name, got, tt.want)
		}
	}
}
