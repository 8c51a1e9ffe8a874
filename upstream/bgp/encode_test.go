package bgp

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dotsgate/dotsgate/dots"
)

func ports(numbers ...uint16) []dots.PortRange {
	var list []dots.PortRange
	for i := 0; i < len(numbers); i += 2 {
		list = append(list, dots.PortRange{Lower: numbers[i], Upper: numbers[i+1]})
	}
	return list
}

// TestValues has the operators of the examples in RFC 8955, Section 4.3: a port, and a range beside a port.
func TestValues(t *testing.T) {
	for name, c := range map[string]struct {
		ranges []dots.PortRange
		want   string
	}{
		"RFC 8955, Section 4.3, first example":  {ports(25, 25), "8119"},
		"RFC 8955, Section 4.3, second example": {ports(137, 139, 8080, 8080), "0389458b911f90"},
		"sorted":                                {ports(8080, 8080, 137, 139), "0389458b911f90"},
		"a range last":                          {ports(1, 1, 1000, 2000), "01011303e8d507d0"},
		"doubled":                               {ports(25, 25, 25, 25), "8119"},
		"touching":                              {ports(10, 11, 12, 20, 15, 16), "030ac514"},
		"apart by one":                          {ports(10, 11, 13, 13), "030a450b810d"},
		"all":                                   {ports(0, 65535, 65535, 65535), "0300d5ffff"},
	} {
		if got := hex.EncodeToString(values(c.ranges)); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
}

// TestRules: RFC 8955, Section 4.2, and RFC 8956, Section 3.1 for the offset of an IPv6 prefix.
func TestRules(t *testing.T) {
	for name, c := range map[string]struct {
		prefix string
		target dots.Target
		want   []string
	}{
		"prefix": {"192.0.2.0/24", dots.Target{}, []string{"050118c00002"}},
		"host":   {"192.0.2.1/32", dots.Target{}, []string{"060120c0000201"}},
		"odd":    {"192.0.2.128/25", dots.Target{}, []string{"060119c0000280"}},
		"IPv6":   {"2001:db8::/32", dots.Target{}, []string{"0701200020010db8"}},
		"protocols": {
			"192.0.2.0/24",
			dots.Target{Protocols: []uint8{17, 6}},
			[]string{"0a0118c00002030106" + "8111"},
		},
		"ports alone are of TCP and UDP": {
			"192.0.2.0/24",
			dots.Target{Ports: ports(25, 25)},
			[]string{"0d0118c000020301068111" + "058119"},
		},
		"ports of one": {
			"192.0.2.0/24",
			dots.Target{Protocols: []uint8{6}, Ports: ports(25, 25)},
			[]string{"0b0118c00002038106058119"},
		},
		"ports beside ICMP": {
			"192.0.2.0/24",
			dots.Target{Protocols: []uint8{1, 17}, Ports: ports(53, 53)},
			[]string{"0b0118c00002038111058135", "080118c00002038101"},
		},
		"ports that nothing has": {
			"192.0.2.0/24",
			dots.Target{Protocols: []uint8{1}, Ports: ports(53, 53)},
			[]string{"080118c00002038101"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			list, err := rules(netip.MustParsePrefix(c.prefix), c.target)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, r := range list {
				got = append(got, hex.EncodeToString(r))
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// TestLongRules: from 240 octets on the length has two (RFC 8955, Section 4.1); what no message could carry is refused.
func TestLongRules(t *testing.T) {
	some := func(n int) dots.Target {
		target := dots.Target{Protocols: []uint8{6}}
		for i := range n {
			target.Ports = append(target.Ports, dots.PortRange{Lower: uint16(1000 + 2*i), Upper: uint16(1000 + 2*i)})
		}
		return target
	}
	prefix := netip.MustParsePrefix("192.0.2.0/24")
	for n, want := range map[int]string{ // 9 octets before the ports, 3 for each
		76: "ed0118", // 237
		77: "f0f00118",
		78: "f0f30118",
	} {
		list, err := rules(prefix, some(n))
		if err != nil {
			t.Fatal(err)
		}
		if got := hex.EncodeToString(list[0]); !strings.HasPrefix(got, want) {
			t.Errorf("%d ports: begins %s, want %s", n, got[:8], want)
		}
	}
	for _, target := range []dots.Target{some(1000), {Ports: some(1000).Ports}} {
		if _, err := rules(prefix, target); err == nil || err.Code != dots.CodeBadRequest {
			t.Errorf("a rule of 3000 octets: %v, want 4.00", err)
		}
	}
}

// TestPortsThatNoRuleMatches: RFC 8955, Section 4.2.2.5 knows ports of TCP and UDP.
func TestPortsThatNoRuleMatches(t *testing.T) {
	for _, protocol := range []uint8{33, 132} {
		prefix := netip.MustParsePrefix("192.0.2.0/24")
		if _, err := rules(prefix, dots.Target{Protocols: []uint8{6, protocol}, Ports: ports(1, 1)}); err == nil || err.Code != dots.CodeBadRequest {
			t.Errorf("protocol %d with ports: %v, want 4.00", protocol, err)
		}
		if _, err := rules(prefix, dots.Target{Protocols: []uint8{protocol}}); err != nil {
			t.Errorf("protocol %d without: %v", protocol, err)
		}
	}
}

func TestPrefixNLRI(t *testing.T) {
	for prefix, want := range map[string]string{
		"192.0.2.1/32":    "20c0000201",
		"192.0.2.0/24":    "18c00002",
		"192.0.2.129/25":  "19c0000280", // what is beyond the length is zero
		"128.0.0.0/1":     "0180",
		"2001:db8::/32":   "2020010db8",
		"2001:db8::1/128": "8020010db8000000000000000000000001",
	} {
		p := netip.MustParsePrefix(prefix)
		route := path{family: family{afi(p), safiUnicast}, nlri: prefixNLRI(p)}
		if got := hex.EncodeToString(route.nlri); got != want {
			t.Errorf("%s: got %s, want %s", prefix, got, want)
		}
		if back, ok := route.prefixOf(); !ok || back != p.Masked() {
			t.Errorf("%s: comes back as %v, %v", prefix, back, ok)
		}
	}
}

func TestPrefixOfNonsense(t *testing.T) {
	for name, p := range map[string]path{
		"nothing":   {family: family{afiIPv4, safiUnicast}},
		"a rule":    {family: family{afiIPv4, safiFlowspec}, nlri: []byte{5, 1, 24, 192, 0, 2}},
		"too long":  {family: family{afiIPv4, safiUnicast}, nlri: []byte{33, 1, 2, 3, 4}},
		"many":      {family: family{afiIPv4, safiUnicast}, nlri: []byte{32, 1, 2, 3, 4, 5}},
		"IPv6 many": {family: family{afiIPv6, safiUnicast}, nlri: make([]byte, 18)},
	} {
		if got, ok := p.prefixOf(); ok {
			t.Errorf("%s: read as %v", name, got)
		}
	}
}

// TestAttributes has the octets of each attribute of a route: flags, type, length, value (RFC 4271, Section 4.3).
func TestAttributes(t *testing.T) {
	marker := large{64500, 1, 2}
	hops := func(c *Config) {
		c.NextHop4, c.NextHop6 = netip.MustParseAddr("192.0.2.254"), netip.MustParseAddr("100::1")
	}
	for name, c := range map[string]struct {
		change func(*Config)
		prefix string
		want   []string
	}{
		"blackhole": {
			hops, "192.0.2.1/32",
			[]string{"400100" + "", "c00804ffff029a", "c0200c" + "0000fbf4" + "00000001" + "00000002", "400304c00002fe"},
		},
		"blackhole, IPv6": {
			hops, "2001:db8::1/128",
			[]string{"", "", "", "800e26" + "000201" + "10" + "01000000000000000000000000000001" + "00" + "8020010db8000000000000000000000001"},
		},
		"communities": {
			func(c *Config) { c.Communities = []string{"64500:1:2", "65535:666", "64500:66"} }, "192.0.2.1/32",
			[]string{"", "c00808ffff029afbf40042", "c02018" + strings.Repeat("0000fbf40000000100000002", 2), "40030400000000"},
		},
		"no communities": {
			func(c *Config) { c.Communities = []string{} }, "192.0.2.1/32",
			[]string{"", "c0200c0000fbf40000000100000002", ""},
		},
		"discard": {
			func(c *Config) { c.Mode = ModeFlowspec }, "192.0.2.1/32",
			[]string{"", "c010088006000000000000", "", "40030400000000"},
		},
		"discard, IPv6": {
			func(c *Config) { c.Mode = ModeFlowspec }, "2001:db8::/48",
			[]string{"", "", "", "800e1f" + "000285" + "10" + strings.Repeat("00", 17) + "0901300020010db80000"},
		},
		"rate": { // RFC 8955, Section 7.1: an IEEE float
			func(c *Config) { c.Mode, c.Action, c.Rate = ModeFlowspec, ActionRate, 1e6 }, "192.0.2.1/32",
			[]string{"", "c010088006000049742400", "", ""},
		},
		"redirect": { // RFC 8955, Section 7.4
			func(c *Config) { c.Mode, c.Action, c.RedirectTo = ModeFlowspec, ActionRedirect, "64500:70000" }, "192.0.2.1/32",
			[]string{"", "c010088008fbf400011170", "", ""},
		},
		"redirect to an address": {
			func(c *Config) { c.Mode, c.Action, c.RedirectTo = ModeFlowspec, ActionRedirect, "192.0.2.9:7" }, "192.0.2.1/32",
			[]string{"", "c010088108c00002090007", "", ""},
		},
		"redirect, long AS number": {
			func(c *Config) { c.Mode, c.Action, c.RedirectTo = ModeFlowspec, ActionRedirect, "4200000000:7" }, "192.0.2.1/32",
			[]string{"", "c010088208fa56ea000007", "", ""},
		},
	} {
		t.Run(name, func(t *testing.T) {
			config := good()
			c.change(&config)
			m, err := newMaker(config.withDefaults())
			if err != nil {
				t.Fatal(err)
			}
			list, refusal := m.routes(leg(1, c.prefix).Request.Target)
			if refusal != nil || len(list) != 1 {
				t.Fatalf("got %v, %v", list, refusal)
			}
			route := m.dressed(list[0], marker)
			if !route.carries(marker) || route.carries(large{64500, 1, 3}) {
				t.Error("the marker is not found again")
			}
			if len(route.attrs) != len(c.want) {
				t.Fatalf("attributes %x, want %d", route.attrs, len(c.want))
			}
			for i, want := range c.want {
				if got := hex.EncodeToString(route.attrs[i]); want != "" && i > 0 && got != want {
					t.Errorf("attribute %d: got %s, want %s", i, got, want)
				}
			}
			if !bytes.Equal(route.attrs[0], []byte{0x40, 1, 1, 0}) {
				t.Errorf("ORIGIN %x", route.attrs[0])
			}
		})
	}
}

func TestLongAttribute(t *testing.T) {
	value := bytes.Repeat([]byte{7}, 300)
	b := attribute(flagOptional, attrMPReach, value)
	if !bytes.Equal(b[:4], []byte{0x90, 14, 1, 44}) {
		t.Errorf("begins %x", b[:4])
	}
	if kind, got, ok := extent(b); !ok || kind != attrMPReach || !bytes.Equal(got, value) {
		t.Errorf("comes back as type %d with %d octets, %v", kind, len(got), ok)
	}
}

// TestCarriesReadsWhatOthersWrote: a table holds what anybody announced.
func TestCarriesReadsWhatOthersWrote(t *testing.T) {
	want := large{1, 2, 3}
	whole := "000000010000000200000003"
	for attr, found := range map[string]bool{
		"":                      false,
		"c0":                    false,
		"c020":                  false,
		"c0200c" + whole:        true,
		"c0200c" + whole[:22]:   false, // cut off
		"d020":                  false,
		"d02000":                false,
		"d020000c" + whole:      true, // two octets of length
		"c0200d" + whole + "00": true,
		"c0100c" + whole:        false, // another type
		"c02018" + "00" + whole + strings.Repeat("00", 11): false, // not where a community begins
		"c02018000000010000000200000004" + whole:           true,
	} {
		b, err := hex.DecodeString(attr)
		if err != nil {
			t.Fatal(err)
		}
		if got := (path{attrs: [][]byte{b}}).carries(want); got != found {
			t.Errorf("%q: %v, want %v", attr, got, found)
		}
	}
}

func FuzzCarries(f *testing.F) {
	f.Add([]byte{0xc0, 32, 12, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3})
	f.Fuzz(func(t *testing.T, b []byte) {
		p := path{family: family{afiIPv4, safiUnicast}, nlri: b, attrs: [][]byte{b}}
		if p.carries(large{1, 2, 3}) && len(b) < 15 {
			t.Errorf("%x holds no large community", b)
		}
		if prefix, ok := p.prefixOf(); ok && prefix.Masked() == prefix && len(b) == 1+(prefix.Bits()+7)/8 && !bytes.Equal(prefixNLRI(prefix), b) {
			t.Errorf("%x is read as %v", b, prefix)
		}
	})
}
