package rfc9132

import (
	"testing"

	"github.com/dotsgate/dotsgate/dots"
)

func TestSource(t *testing.T) {
	// RFC 9066, Section 5.3.1: prefixes of any length, link-local ones too, ports and ICMP types.
	entry := m{
		6: a{"2001:db8:c000::/128"}, 14: 3600, 32768: a{"2001:db8:123::/48", "fe80::/10", "0.0.0.0/0"},
		32769: a{m{8: 53}, m{8: 1024, 9: 65535}}, 32770: a{m{32771: 0}, m{32771: 8, 32772: 10}},
	}
	got := accepted(t, put(body(t, scope(entry))))
	equal(t, got.Mitigation.Source, dots.Source{
		Prefixes:  []string{"2001:db8:123::/48", "fe80::/10", "0.0.0.0/0"},
		Ports:     []dots.PortRange{{Lower: 53, Upper: 53}, {Lower: 1024, Upper: 65535}},
		ICMPTypes: []dots.ICMPTypeRange{{Lower: 0, Upper: 0}, {Lower: 8, Upper: 10}},
	})
	equal(t, encoded(t, got).Payload, body(t, scope(entry)))
}

func TestSourceRefused(t *testing.T) {
	for _, tt := range []struct {
		name  string
		key   int
		value any
		text  string
	}{
		{"multicast", 32768, a{"224.0.0.1/32"}, "source-prefix: multicast"},
		{"loopback", 32768, a{"127.0.0.1/32"}, "source-prefix: loopback"},
		{"broadcast", 32768, a{"255.255.255.255/32"}, "source-prefix: broadcast"},
		{"address", 32768, a{"192.0.2.1"}, "source-prefix: not a CIDR"},
		{"empty", 32768, a{}, "source-prefix: empty"},
		{"text", 32768, "192.0.2.0/24", "source-prefix: not an array"},
		{"port beyond", 32769, a{m{8: 65536}}, "lower-port: out of range"},
		{"port twice", 32769, a{m{8: 1}, m{8: 1}}, "source-port-range: the same lower-port twice"},
		{"ports upside down", 32769, a{m{8: 2, 9: 1}}, "upper-port: below lower-port"},
		{"type beyond", 32770, a{m{32771: 256}}, "lower-type: out of range"},
		{"type missing", 32770, a{m{32772: 1}}, "lower-type: missing"},
		{"types upside down", 32770, a{m{32771: 2, 32772: 1}}, "upper-type: below lower-type"},
		{"type twice", 32770, a{m{32771: 2}, m{32771: 2}}, "source-icmp-type-range: the same lower-type twice"},
		{"types empty", 32770, a{}, "source-icmp-type-range: empty"},
		{"types as ports", 32770, a{m{8: 2}}, "lower-port: not allowed here"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := put(body(t, scope(m{6: a{"198.51.100.0/24"}, 14: 60, tt.key: tt.value})))
			isRefused(t, r, dots.CodeBadRequest, tt.text)
		})
	}
}

func TestMisplacedOptionalAttributesPassedOver(t *testing.T) {
	// RFC 9132, Section 10.6.1: what need not be understood is passed over where it has no meaning.
	entry := m{6: a{"198.51.100.0/24"}, 14: 60, 32771: 5, 32773: "a.example", 32776: m{}}
	got := accepted(t, put(body(t, scope(entry)))).Mitigation
	equal(t, got.Source, dots.Source{})
	equal(t, got.Optional, []dots.Raw(nil))
}
