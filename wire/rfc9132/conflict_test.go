package rfc9132

import (
	"net/netip"
	"testing"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
)

func TestConflictsOfEveryKind(t *testing.T) {
	for _, tt := range []struct {
		name     string
		conflict dots.Conflict
		want     m
	}{
		{"status only", dots.Conflict{Status: dots.ConflictAllInactive}, m{18: 3}},
		{"cause only", dots.Conflict{Cause: dots.CauseLegitimateTraffic}, m{19: 4}},
		{"retry", dots.Conflict{Status: dots.ConflictOtherActive, RetryTimer: 4294967295}, m{18: 1, 20: 4294967295}},
		{"mid", dots.Conflict{Cause: dots.CauseOverlappingTargets, MID: dots.Some[uint32](0)}, m{19: 1, 21: m{5: 0}}},
		{
			"prefixes",
			dots.Conflict{Cause: 1, Scope: dots.Target{Prefixes: []netip.Prefix{prefix("198.51.100.0/24")}}},
			m{19: 1, 21: m{6: a{"198.51.100.0/24"}}},
		},
		{"ports and protocols", dots.Conflict{Cause: 1, Scope: dots.Target{
			Ports: []dots.PortRange{{Lower: 1, Upper: 2}}, Protocols: []uint8{17},
		}}, m{19: 1, 21: m{7: a{m{8: 1, 9: 2}}, 10: a{17}}}},
		{"names", dots.Conflict{Cause: 1, Scope: dots.Target{
			FQDNs: []string{"a.example"}, URIs: []string{"https://a.example/"}, Aliases: []string{"web"},
		}}, m{19: 1, 21: m{11: a{"a.example"}, 12: a{"https://a.example/"}, 13: a{"web"}}}},
		{
			"accept-list",
			dots.Conflict{Cause: 2, ACLs: []dots.ACLRef{{Name: "l", Type: "ipv6-acl-type"}}},
			m{19: 2, 21: m{22: a{m{23: "l", 24: "ipv6-acl-type"}}}},
		},
		{"nothing", dots.Conflict{}, m{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			resp := wire.Response{Code: dots.CodeConflict, Conflict: dots.Some(tt.conflict)}
			got := answered(t, figureRequest(), resp)
			equal(t, got.Payload, body(t, scope(m{5: 123, 17: tt.want})))
			equal(t, understood(t, figureRequest(), got), resp)

			// The same conflict in a notification.
			report := dots.Report{MID: 1, Lifetime: 60, Status: dots.StatusWithdrawn, Conflict: dots.Some(tt.conflict)}
			all := wire.Response{Code: dots.CodeContent, Reports: []dots.Report{report}}
			equal(t, understood(t, getAll(), answered(t, getAll(), all)), all)
		})
	}
}

func TestConflictsReadLeniently(t *testing.T) {
	got := understood(t, figureRequest(), wire.CoAPResponse{Code: dots.CodeConflict, Format: dots.Some[uint16](271), Payload: body(t, scope(m{
		5: nil, 17: m{18: nil, 19: 5, 20: 0, 21: m{5: nil, 6: a{}, 22: a{}, 60: 1}, "x": 1},
	}))})
	equal(t, got, wire.Response{Code: dots.CodeConflict, Conflict: dots.Some(dots.Conflict{Cause: dots.CauseOverlappingPipes})})
}

func TestConflictsUnreadable(t *testing.T) {
	for name, conflict := range map[string]any{
		"no map": 1, "status text": m{18: "x"}, "status 0": m{18: 0}, "cause 256": m{19: 256}, "retry negative": m{20: -1},
		"scope array": m{21: a{}}, "mid beyond": m{21: m{5: 1 << 32}}, "lists no array": m{21: m{22: 1}}, "list no map": m{21: m{22: a{1}}},
		"list without name": m{21: m{22: a{m{24: "t"}}}}, "type number": m{21: m{22: a{m{23: "n", 24: 1}}}},
	} {
		payload := body(t, scope(m{5: 1, 14: 60, 16: 7, 17: conflict}))
		_, err := New().DecodeResponse(getAll(), wire.CoAPResponse{Code: dots.CodeContent, Payload: payload})
		isResponseError(t, name, err)
		// In a refusal the code says enough.
		equal(t, understood(t, figureRequest(), wire.CoAPResponse{Code: dots.CodeConflict, Payload: payload}), wire.Response{Code: dots.CodeConflict})
	}
}
