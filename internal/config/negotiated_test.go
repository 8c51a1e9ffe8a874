package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dotsgate/dotsgate/dots"
)

// withSession gives the two uplinks of the good configuration what is wanted of their sessions.
func withSession(first, second string) string {
	text := strings.Replace(good, "    relay_optional: [200]", "    relay_optional: [200]\n    session: "+first, 1)
	return strings.Replace(text, "    server_name: two.example.net", "    server_name: two.example.net\n    session: "+second, 1)
}

func TestNegotiated(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	c, err := parseIn(dir, withSession(
		`{idle: {heartbeat_interval: 0s, missing_hb_allowed: 20, max_retransmit: 0},
      mitigating: {heartbeat_interval: 15s, probing_rate: 65535, ack_timeout: 1.25s, ack_random_factor: 1.15}}`,
		`{mitigating: {ack_timeout: 3s}}`))
	if err != nil {
		t.Fatal(err)
	}
	number := func(v uint16) dots.Bounds[uint16] { return dots.Bounds[uint16]{Current: dots.Some(v)} }
	decimal := func(v dots.Decimal) dots.Bounds[dots.Decimal] {
		return dots.Bounds[dots.Decimal]{Current: dots.Some(v)}
	}
	want := []dots.SessionConfig{
		{
			Idle: dots.ConfigSet{HeartbeatInterval: number(0), MissingHBAllowed: number(20), MaxRetransmit: number(0)},
			Mitigating: dots.ConfigSet{
				HeartbeatInterval: number(15), ProbingRate: number(65535), AckTimeout: decimal(125), AckRandomFactor: decimal(115),
			},
		},
		{Mitigating: dots.ConfigSet{AckTimeout: decimal(300)}},
	}
	if d := cmp.Diff(want, []dots.SessionConfig{c.Uplinks[0].Session, c.Uplinks[1].Session}); d != "" {
		t.Error(d)
	}
}

func TestNegotiatedMistakes(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	for name, m := range map[string]struct{ first, second, path, cause, fix string }{
		"interval too short": {"{idle: {heartbeat_interval: 14s}}", "{}", "uplinks[0].session.idle.heartbeat_interval", "too short", "15s"},
		"interval too long":  {"{idle: {heartbeat_interval: 241s}}", "{}", "uplinks[0].session.idle.heartbeat_interval", "out of range", "4m0s"},
		"interval fraction":  {"{idle: {heartbeat_interval: 15500ms}}", "{}", "uplinks[0].session.idle.heartbeat_interval", "whole seconds", "16s"},
		"none allowed":       {"{mitigating: {missing_hb_allowed: 1}}", "{}", "uplinks[0].session.mitigating.missing_hb_allowed", "out of range", "2 to 1000"},
		"no rate":            {"{mitigating: {probing_rate: 0}}", "{}", "uplinks[0].session.mitigating.probing_rate", "out of range", "1 to"},
		"too often again":    {"{idle: {max_retransmit: 16}}", "{}", "uplinks[0].session.idle.max_retransmit", "out of range", "0 to 15"},
		"fine time":          {"{idle: {ack_timeout: 1005ms}}", "{}", "uplinks[0].session.idle.ack_timeout", "finer", "10ms"},
		"no time":            {"{idle: {ack_timeout: 0s}}", "{}", "uplinks[0].session.idle.ack_timeout", "out of range", "10ms"},
		"factor below one":   {"{idle: {ack_random_factor: 0.99}}", "{}", "uplinks[0].session.idle.ack_random_factor", "out of range", "1 to 10"},
		"fine factor":        {"{idle: {ack_random_factor: 1.234}}", "{}", "uplinks[0].session.idle.ack_random_factor", "two decimals", "1.23"},
		"draft04 rate":       {"{}", "{idle: {probing_rate: 9}}", "uplinks[1].session.idle.probing_rate", "does not know", "leave it out"},
		"draft04 time":       {"{}", "{idle: {ack_timeout: 1500ms}}", "uplinks[1].session.idle.ack_timeout", "whole seconds", "2s"},
		"draft04 two sets":   {"{}", "{idle: {ack_timeout: 1s}, mitigating: {ack_timeout: 2s}}", "uplinks[1].session", "one set", "mitigating"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parseIn(dir, withSession(m.first, m.second))
			es := mistakes(t, err)
			if len(es) != 1 || es[0].Path != m.path || !strings.Contains(es[0].Cause, m.cause) || !strings.Contains(es[0].Fix, m.fix) {
				t.Errorf("found %v", err)
			}
		})
	}
}
