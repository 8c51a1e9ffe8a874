package policy

import (
	"net/netip"
	"testing"

	"github.com/dotsgate/dotsgate/dots"
)

// RFC 9132, Section 4.4.1: the values of an alias are appended to those of the request.
func TestWithAliases(t *testing.T) {
	port := func(list ...uint16) []dots.PortRange {
		var out []dots.PortRange
		for _, p := range list {
			out = append(out, dots.PortRange{Lower: p, Upper: p})
		}
		return out
	}
	d := &domain{aliases: map[string]dots.Target{
		"web":  {Prefixes: prefixes("198.51.100.80/32"), Ports: port(443), Protocols: []uint8{6}},
		"mail": {FQDNs: []string{"mail.example.com"}},
	}}
	tests := []struct {
		name     string
		in, want dots.Target
		deny     string
	}{
		{
			name: "none",
			in:   dots.Target{Prefixes: prefixes("198.51.100.1/32"), Ports: port(80)},
			want: dots.Target{Prefixes: prefixes("198.51.100.1/32"), Ports: port(80)},
		},
		{
			name: "alone",
			in:   dots.Target{Aliases: []string{"web"}},
			want: dots.Target{Prefixes: prefixes("198.51.100.80/32"), Ports: port(443), Protocols: []uint8{6}},
		},
		{
			name: "appended after the explicit ones",
			in:   dots.Target{Prefixes: prefixes("198.51.100.1/32"), Ports: port(80), Protocols: []uint8{17}, Aliases: []string{"web"}},
			want: dots.Target{Prefixes: prefixes("198.51.100.1/32", "198.51.100.80/32"), Ports: port(80, 443), Protocols: []uint8{17, 6}},
		},
		{
			name: "a prefix without ports keeps all of them",
			in:   dots.Target{Prefixes: prefixes("198.51.100.1/32"), Aliases: []string{"web"}},
			want: dots.Target{Prefixes: prefixes("198.51.100.1/32", "198.51.100.80/32")},
		},
		{
			name: "an alias without ports keeps all of them",
			in:   dots.Target{Prefixes: prefixes("198.51.100.1/32"), Ports: port(80), Protocols: []uint8{6}, Aliases: []string{"mail"}},
			want: dots.Target{Prefixes: prefixes("198.51.100.1/32"), FQDNs: []string{"mail.example.com"}},
		},
		{
			name: "ports beside an alias alone narrow it",
			in:   dots.Target{Ports: port(25), Aliases: []string{"mail"}},
			want: dots.Target{FQDNs: []string{"mail.example.com"}, Ports: port(25)},
		},
		{
			name: "ports beside an alias with its own are added",
			in:   dots.Target{Ports: port(25), Aliases: []string{"web"}},
			want: dots.Target{Prefixes: prefixes("198.51.100.80/32"), Ports: port(25, 443), Protocols: []uint8{6}},
		},
		{
			name: "twice the same",
			in:   dots.Target{Prefixes: prefixes("198.51.100.80/32"), Ports: port(443), Protocols: []uint8{6}, Aliases: []string{"web", "web"}},
			want: dots.Target{Prefixes: prefixes("198.51.100.80/32"), Ports: port(443), Protocols: []uint8{6}},
		},
		{name: "foreign", in: dots.Target{Aliases: []string{"web", "theirs"}}, deny: "alias-name theirs not yours"},
		{name: "other case", in: dots.Target{Aliases: []string{"WEB"}}, deny: "alias-name WEB not yours"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := d.withAliases(tt.in, nil)
			if tt.deny != "" {
				wantDeny(t, err, dots.CodeBadRequest, tt.deny)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if s := diff(tt.want, got); s != "" {
				t.Error(s)
			}
		})
	}
	if got := d.aliases["mail"]; len(got.Ports) != 0 {
		t.Errorf("the alias itself was changed: %v", got)
	}
}

func TestMergePortsKeepsTheKeyUnique(t *testing.T) {
	got := mergePorts([]dots.PortRange{{Lower: 80, Upper: 80}, {Lower: 1, Upper: 5}, {Lower: 80, Upper: 90}, {Lower: 80, Upper: 85}})
	if s := diff([]dots.PortRange{{Lower: 80, Upper: 90}, {Lower: 1, Upper: 5}}, got); s != "" {
		t.Error(s)
	}
}

func TestMaskedCopiesOnlyWhereNeeded(t *testing.T) {
	clean := prefixes("198.51.100.0/24", "2001:db8::/32")
	if got := masked(clean); &got[0] != &clean[0] {
		t.Error("a list without host bits was copied")
	}
	dirty := prefixes("198.51.100.0/24", "198.51.100.77/24")
	got := masked(dirty)
	if s := diff(prefixes("198.51.100.0/24", "198.51.100.0/24"), got); s != "" {
		t.Error(s)
	}
	if dirty[1] != netip.MustParsePrefix("198.51.100.77/24") {
		t.Error("the client's own list was changed")
	}
}
