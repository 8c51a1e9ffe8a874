package config

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dotsgate/dotsgate/dots"
)

// offering is the good configuration with something more about the sessions of clients.
func offering(more string) string {
	return strings.Replace(good, "  heartbeat_interval: 15s\n", "  heartbeat_interval: 15s\n  "+more+"\n", 1)
}

func three[T any](least, begin, most T) dots.Bounds[T] {
	return dots.Bounds[T]{Min: dots.Some(least), Current: dots.Some(begin), Max: dots.Some(most)}
}

func TestOffered(t *testing.T) {
	t.Parallel()
	c, err := parseIn(folder(t), offering(`max_age: 10m
  end_unrefreshed: true
  idle: {heartbeat_interval: [15s, 60s, 240s], missing_hb_allowed: [2, 2, 1000], probing_rate: [1, 5, 65535]}
  mitigating: {heartbeat_interval: [0s, 0s, 15s], max_retransmit: [0, 3, 15], ack_timeout: [10ms, 1.25s, 1m], ack_random_factor: [1, 1.15, 10]}`))
	if err != nil {
		t.Fatal(err)
	}
	want := Session{
		HeartbeatInterval: 15 * time.Second, MissingHBAllowed: c.Session.MissingHBAllowed, MaxPerClient: c.Session.MaxPerClient,
		MaxAge: 10 * time.Minute, EndUnrefreshed: true,
		Idle: dots.ConfigSet{
			HeartbeatInterval: three[uint16](15, 60, 240), MissingHBAllowed: three[uint16](2, 2, 1000), ProbingRate: three[uint16](1, 5, 65535),
		},
		Mitigating: dots.ConfigSet{
			HeartbeatInterval: three[uint16](0, 0, 15), MaxRetransmit: three[uint16](0, 3, 15),
			AckTimeout: three[dots.Decimal](1, 125, 6000), AckRandomFactor: three[dots.Decimal](100, 115, 1000),
		},
	}
	if d := cmp.Diff(want, c.Session); d != "" {
		t.Error(d)
	}
}

func TestOfferedNothing(t *testing.T) {
	t.Parallel()
	c, err := parseIn(folder(t), good)
	if err != nil {
		t.Fatal(err)
	}
	if s := c.Session; s.MaxAge != time.Hour || s.EndUnrefreshed || s.Idle != (dots.ConfigSet{}) || s.Mitigating != (dots.ConfigSet{}) {
		t.Errorf("%+v", s)
	}
}

func TestOfferedMistakes(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	for name, m := range map[string]struct{ text, path, cause, fix string }{
		"two values":         {"idle: {missing_hb_allowed: [3, 20]}", "session.idle.missing_hb_allowed", "2 values", "three"},
		"falling":            {"idle: {missing_hb_allowed: [3, 2, 20]}", "session.idle.missing_hb_allowed", "rising", "least"},
		"falling at last":    {"mitigating: {ack_timeout: [1s, 30s, 2s]}", "session.mitigating.ack_timeout", "rising", "most"},
		"too short":          {"idle: {heartbeat_interval: [14s, 30s, 240s]}", "session.idle.heartbeat_interval[0]", "too short", "15s"},
		"too long":           {"idle: {heartbeat_interval: [15s, 30s, 241s]}", "session.idle.heartbeat_interval[2]", "out of range", "4m0s"},
		"no time":            {"idle: {heartbeat_interval: [15s, soon, 240s]}", "session.idle.heartbeat_interval[1]", "no duration", "5s"},
		"nothing as a time":  {`idle: {heartbeat_interval: ["", 30s, 240s]}`, "session.idle.heartbeat_interval[0]", "empty", "5s"},
		"nothing as another": {`mitigating: {ack_timeout: [1s, 2s, ""]}`, "session.mitigating.ack_timeout[2]", "empty", "5s"},
		"none may be lost":   {"mitigating: {missing_hb_allowed: [1, 15, 20]}", "session.mitigating.missing_hb_allowed[0]", "out of range", "2 to 1000"},
		"factor below one":   {"idle: {ack_random_factor: [0.9, 1.5, 4]}", "session.idle.ack_random_factor[0]", "out of range", "1 to 10"},
		"age of a moment":    {"max_age: 1s", "session.max_age", "out of range", "1m0s"},
		"age of many years":  {"max_age: 90000h", "session.max_age", "out of range", "8760h"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := parseIn(dir, offering(m.text))
			es := mistakes(t, err)
			if len(es) != 1 {
				t.Fatalf("found %d mistakes, want 1:\n%v", len(es), err)
			}
			if e := es[0]; e.Path != m.path || !strings.Contains(e.Cause, m.cause) || !strings.Contains(e.Fix, m.fix) || e.Line == 0 {
				t.Errorf("found %s\nwant %s: %s; %s", e, m.path, m.cause, m.fix)
			}
		})
	}
}
