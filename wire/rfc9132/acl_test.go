package rfc9132

import (
	"testing"

	"github.com/dotsgate/dotsgate/dots"
)

func TestACLs(t *testing.T) {
	// RFC 9133, Section 3.2.2: acl-name is mandatory, activation-type is one of three.
	entry := m{6: a{"2001:db8:6401::/48"}, 14: 3600, 53: a{
		m{23: "an-accept-list", 52: 2}, m{23: "b", 52: 1}, m{23: "c", 52: 3}, m{23: "d"},
	}}
	got := accepted(t, put(body(t, scope(entry))))
	equal(t, got.Mitigation.ACLs, []dots.ACLControl{
		{Name: "an-accept-list", Activation: dots.ActivateImmediate},
		{Name: "b", Activation: dots.ActivateWhenMitigating},
		{Name: "c", Activation: dots.ActivateDeactivate},
		{Name: "d"},
	})
	equal(t, encoded(t, got).Payload, body(t, scope(entry)))
}

func TestACLsRefused(t *testing.T) {
	for _, tt := range []struct {
		name string
		list any
		text string
	}{
		{"no name", a{m{52: 1}}, "acl-name: missing"},
		{"empty name", a{m{23: ""}}, "acl-name: empty"},
		{"name number", a{m{23: 1}}, "acl-name: not a text string"},
		{"name twice", a{m{23: "x"}, m{23: "y"}, m{23: "x", 52: 1}}, "the same acl-name twice"},
		{"activation 0", a{m{23: "x", 52: 0}}, "activation-type: out of range"},
		{"activation 4", a{m{23: "x", 52: 4}}, "activation-type: out of range"},
		{"activation text", a{m{23: "x", 52: "immediate"}}, "activation-type: not an unsigned"},
		{"type", a{m{23: "x", 24: "ipv4-acl-type"}}, "acl-type: not allowed here"},
		{"unknown", a{m{23: "x", 99: 1}}, "unknown keys: 99"},
		{"empty", a{}, "acl-list: empty"},
		{"map", m{23: "x"}, "acl-list: not an array"},
		{"names", a{"x"}, "acl-list: not a map"},
		{"null", nil, "acl-list: not an array"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := put(body(t, scope(m{6: a{"198.51.100.0/24"}, 14: 60, 53: tt.list})))
			isRefused(t, r, dots.CodeBadRequest, tt.text)
		})
	}
}
