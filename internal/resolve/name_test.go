package resolve

import (
	"errors"
	"strings"
	"testing"
)

// RFC 1123, Section 2.1: the names of hosts.
func TestCheckName(t *testing.T) {
	label63 := strings.Repeat("a", 63)
	name253 := strings.Repeat(label63+".", 3) + strings.Repeat("b", 61)
	for name, want := range map[string]string{ // "" means refused
		"www.example.net":      "www.example.net",
		"WWW.Example.NET.":     "www.example.net",
		"a":                    "a",
		"xn--bcher-kva.ch":     "xn--bcher-kva.ch",
		"3com.com":             "3com.com",
		label63 + ".net":       label63 + ".net",
		name253:                name253,
		name253 + ".":          name253,
		name253 + "b":          "",
		label63 + "a.net":      "",
		"":                     "",
		".":                    "",
		"a..b":                 "",
		".a":                   "",
		"a.net..":              "",
		"-a.net":               "",
		"a-.net":               "",
		"a_b.net":              "",
		"a b.net":              "",
		"*.net":                "",
		"b\u00fccher.ch":       "",
		"a\x00.net":            "",
		"a\n.net":              "",
		"192.0.2.1":            "",
		"2001:db8::1":          "",
		"www.example.123":      "",
		"user@example.net":     "",
		"www.example.net:4646": "",
		"\u212Aelvin.net":      "", // the Kelvin sign, whose lower case is the letter k
	} {
		got, err := CheckName(name)
		if got != want || (want == "") != errors.Is(err, ErrName) {
			t.Errorf("%.60q: got %.60q, %v; want %.60q", name, got, err, want)
		}
		if err != nil && len(err.Error()) > 200 {
			t.Errorf("%.60q: an error of %d bytes", name, len(err.Error()))
		}
	}
}

func FuzzCheckName(f *testing.F) {
	for _, seed := range []string{"www.example.net.", "a..b", "-", "1.2.3.4", "\u212A.net"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		got, err := CheckName(name)
		if err != nil {
			return
		}
		if again, err := CheckName(got); err != nil || again != got {
			t.Errorf("%q gave %q, which gives %q, %v", name, got, again, err)
		}
		if strings.Trim(got, "abcdefghijklmnopqrstuvwxyz0123456789-.") != "" || len(got) > 253 {
			t.Errorf("%q gave %q", name, got)
		}
	})
}
