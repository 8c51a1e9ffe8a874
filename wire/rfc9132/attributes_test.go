package rfc9132

import (
	"math"
	"net/netip"
	"testing"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
)

// Each attribute alone, by the key that the registry gives it (RFC 9132, Section 6), in a request and in a report.

func TestEveryTargetAttribute(t *testing.T) {
	for _, tt := range []struct {
		name   string
		key    int
		value  any
		target dots.Target
		alone  bool // enough of a target by itself
	}{
		{
			"target-prefix", 6,
			a{"198.51.100.0/24", "2001:db8::/32"},
			dots.Target{Prefixes: []netip.Prefix{prefix("198.51.100.0/24"), prefix("2001:db8::/32")}},
			true,
		},
		{
			"target-port-range", 7,
			a{m{8: 0}, m{8: 80}, m{8: 1024, 9: 65535}},
			dots.Target{Ports: []dots.PortRange{{}, {Lower: 80, Upper: 80}, {Lower: 1024, Upper: 65535}}},
			false,
		},
		{"target-protocol", 10, a{6, 17, 0, 255}, dots.Target{Protocols: []uint8{6, 17, 0, 255}}, false},
		{"target-fqdn", 11, a{"b.example", "a.example"}, dots.Target{FQDNs: []string{"b.example", "a.example"}}, true},
		{"target-uri", 12, a{"coaps://[2001:db8::1]:5684/x"}, dots.Target{URIs: []string{"coaps://[2001:db8::1]:5684/x"}}, true},
		{"alias-name", 13, a{"web servers", "\u00e4"}, dots.Target{Aliases: []string{"web servers", "\u00e4"}}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			payload := body(t, scope(m{tt.key: tt.value, 14: 60}))
			if tt.alone {
				got := accepted(t, put(payload))
				equal(t, got.Mitigation, dots.Request{MID: 123, Target: tt.target, Lifetime: dots.Some[dots.Lifetime](60)})
				equal(t, encoded(t, got).Payload, payload)
			} else {
				isRefused(t, put(payload), dots.CodeBadRequest, "target missing")
			}
			isReport(t, m{5: 7, tt.key: tt.value, 14: 60, 16: 1},
				dots.Report{MID: 7, Target: tt.target, Lifetime: 60, Status: dots.StatusInProgress})
			for _, empty := range []any{a{}, nil, "x", m{}} {
				isRefused(t, put(body(t, scope(m{tt.key: empty, 14: 60}))), dots.CodeBadRequest, tt.name)
			}
		})
	}
}

func TestEveryReportAttribute(t *testing.T) {
	most := dots.Some[uint64](math.MaxUint64)
	for _, tt := range []struct {
		name  string
		key   int
		value any
		want  dots.Report
	}{
		{"mitigation-start", 15, 1507818434, dots.Report{Start: dots.Some[uint64](1507818434)}},
		{"mitigation-start 0", 15, 0, dots.Report{Start: dots.Some[uint64](0)}},
		{"conflict-information", 17, m{18: 2}, dots.Report{Conflict: dots.Some(dots.Conflict{Status: dots.ConflictThisActive})}},
		{"bytes-dropped", 25, uint64(math.MaxUint64), dots.Report{Counters: dots.Counters{BytesDropped: most}}},
		{"bps-dropped", 26, uint64(math.MaxUint64), dots.Report{Counters: dots.Counters{BytesPerSecond: most}}},
		{"pkts-dropped", 27, uint64(math.MaxUint64), dots.Report{Counters: dots.Counters{PktsDropped: most}}},
		{"pps-dropped", 28, uint64(math.MaxUint64), dots.Report{Counters: dots.Counters{PktsPerSecond: most}}},
		{"trigger-mitigation", 45, false, dots.Report{OnSignalLoss: true}},
		{"acl-list", 53, a{m{23: "l", 52: 3}}, dots.Report{ACLs: []dots.ACLControl{{Name: "l", Activation: dots.ActivateDeactivate}}}},
		{"telemetry", 204, a{1}, dots.Report{Optional: []dots.Raw{{Key: 204, Value: []byte{0x81, 0x01}}}}},
		{"source-prefix", 32768, a{"192.0.2.0/24"}, dots.Report{Source: dots.Source{Prefixes: []string{"192.0.2.0/24"}}}},
		{"source-port-range", 32769, a{m{8: 53}}, dots.Report{Source: dots.Source{Ports: []dots.PortRange{{Lower: 53, Upper: 53}}}}},
		{"source-icmp-type-range", 32770, a{m{32771: 8}}, dots.Report{Source: dots.Source{ICMPTypes: []dots.ICMPTypeRange{{Lower: 8, Upper: 8}}}}},
		{"private use", 65535, "x", dots.Report{Optional: []dots.Raw{{Key: 65535, Value: []byte{0x61, 'x'}}}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.want.MID, tt.want.Lifetime, tt.want.Status = 7, 60, dots.StatusMitigated
			isReport(t, m{5: 7, 14: 60, 16: 2, tt.key: tt.value}, tt.want)
			// A null is as good as nothing.
			nothing := understood(t, getAll(), wire.CoAPResponse{
				Code: dots.CodeContent, Payload: body(t, scope(m{5: 7, 14: 60, 16: 2, tt.key: nil})),
			})
			equal(t, nothing.Reports, []dots.Report{{MID: 7, Lifetime: 60, Status: dots.StatusMitigated}})
		})
	}
}

func TestEveryStatus(t *testing.T) {
	// RFC 9132, Section 4.4.2: eight states.
	for status := dots.StatusInProgress; status <= dots.StatusSignalLossArmed; status++ {
		isReport(t, m{5: 7, 14: 60, 16: int(status)}, dots.Report{MID: 7, Lifetime: 60, Status: status})
	}
}

// isReport checks that an entry is read as a report, and a report written as an entry.
func isReport(t *testing.T, entry m, want dots.Report) {
	t.Helper()
	payload := body(t, scope(entry))
	got := understood(t, getAll(), wire.CoAPResponse{Code: dots.CodeContent, Payload: payload})
	equal(t, got.Reports, []dots.Report{want})
	equal(t, answered(t, getAll(), got).Payload, payload)
}
