package ctl

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/dotsgate/dotsgate/dots"
)

func somePrefix(s string) []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix(s)} }

func TestScaled(t *testing.T) {
	for n, want := range map[uint64]string{
		0: "0 ", 999: "999 ", 1000: "1.00 k", 1234: "1.23 k", 12345: "12.3 k", 999_949: "999.9 k", 1_000_000: "1.00 M",
		125_000_000: "125.0 M", 3_000_000_000: "3.00 G", 1 << 62: "4.61 E", 1<<64 - 1: "18.4 E",
	} {
		if got := scaled(n); got != want {
			t.Errorf("scaled(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestConflictText(t *testing.T) {
	tests := []struct {
		c    dots.Conflict
		want string
	}{
		{dots.Conflict{Cause: dots.CauseCUIDCollision}, "the cuid is in use by another client"},
		{dots.Conflict{Cause: dots.CauseOverlappingTargets, MID: dots.Some[uint32](0)}, "overlapping targets with mid 0"},
		{
			dots.Conflict{Cause: dots.CauseOverlappingTargets, Scope: dots.Target{Prefixes: somePrefix("192.0.2.0/24")}, RetryTimer: 9},
			"overlapping targets on 192.0.2.0/24, again after 9 s",
		},
		{dots.Conflict{Cause: dots.CauseAcceptList}, "conflict with an accept-list"},
		{dots.Conflict{Cause: dots.CauseLegitimateTraffic}, "rejected as legitimate traffic"},
		{dots.Conflict{Cause: dots.CauseOverlappingPipes}, "overlapping pipes"},
		{dots.Conflict{Cause: 77}, "conflict of cause 77"},
	}
	for _, tt := range tests {
		if got := conflictText(tt.c); got != tt.want {
			t.Errorf("conflictText(%+v) = %q, want %q", tt.c, got, tt.want)
		}
	}
}

func TestReportText(t *testing.T) {
	full := dots.Report{
		MID: 7, Status: dots.StatusMitigated, Lifetime: 60,
		Target: dots.Target{
			Prefixes: somePrefix("2001:db8::/32"), FQDNs: []string{"a.example\x1b"}, URIs: []string{"https://a.example/"},
			Aliases: []string{"web"}, Ports: []dots.PortRange{{Lower: 80, Upper: 80}, {Lower: 1, Upper: 2}}, Protocols: []uint8{17},
		},
		Counters: dots.Counters{BytesDropped: dots.Some[uint64](1), PktsPerSecond: dots.Some[uint64](2000)},
		Conflict: dots.Some(dots.Conflict{Cause: dots.CauseAcceptList}),
	}
	tests := []struct {
		r    dots.Report
		want string
	}{
		{full, `mid 7  mitigated  lifetime 60 s  target 2001:db8::/32 a.example\x1b https://a.example/ alias web port 80 port 1-2 protocol 17  ` +
			`dropped 1 B, 2.00 kpackets/s  conflict: conflict with an accept-list`},
		{dots.Report{MID: 1, Status: dots.StatusSignalLossArmed, Lifetime: dots.Indefinite}, "mid 1  armed  lifetime for ever"},
		{dots.Report{MID: 1, Status: dots.StatusTerminated, Lifetime: 1}, "mid 1  terminated"},
		{dots.Report{MID: 1, Status: 9, Lifetime: 1}, "mid 1  unknown(9)  lifetime 1 s"},
	}
	for _, tt := range tests {
		if got := reportText(tt.r); got != tt.want {
			t.Errorf("reportText() = %q\nwant           %q", got, tt.want)
		}
	}
}

func TestConfigLines(t *testing.T) {
	lines := configLines(dots.SessionConfig{
		Idle: dots.ConfigSet{AckTimeout: dots.Bounds[dots.Decimal]{
			Current: dots.Some[dots.Decimal](150), Min: dots.Some[dots.Decimal](100), Max: dots.Some[dots.Decimal](3000),
		}},
		Mitigating: dots.ConfigSet{HeartbeatInterval: dots.Bounds[uint16]{Current: dots.Some[uint16](0)}},
	})
	var got []string
	for _, l := range lines {
		got = append(got, strings.Join(strings.Fields(l.text()), " "))
	}
	want := "mitigating heartbeat-interval 0; idle ack-timeout 1.5 (1 to 30)"
	if strings.Join(got, "; ") != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
