package upstream

import (
	"context"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/wire/rfc9132"
)

func goodConfig() Config {
	dial := func(context.Context) (*coap.Session, error) { return nil, context.Canceled }
	return Config{Events: &recorder{}, Links: []LinkConfig{{Name: "a", Profile: rfc9132.New(), Dial: dial}}}
}

func TestDefaults(t *testing.T) {
	c, err := goodConfig().withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	// RFC 9132, Section 4.5.2: 30 s and 15 heartbeats; RFC 9132, Section 4.4: one request in 3 s.
	if c.HeartbeatInterval != 30*time.Second || c.MissingAllowed != 15 || c.RepeatInterval != 3*time.Second ||
		c.PollInterval != time.Minute || c.MaxInFlight != 16 || c.DialTimeout != 70*time.Second {
		t.Errorf("defaults %+v", c)
	}
	want := Backoff{MinIdle: time.Minute, MinActive: time.Second, MaxActive: 15 * time.Second, Max: 5 * time.Minute, Jitter: 0.1}
	if c.Backoff != want {
		t.Errorf("backoff %+v, want %+v", c.Backoff, want)
	}
	if c.Logger == nil || c.Now == nil || c.Rand == nil {
		t.Error("something is nil")
	}
	c.Meter.UplinkUp("a", true)
	c.Meter.Request("a", 0, 0)
	c.Meter.Legs("a", LegCounts{})
	c.Meter.HeartbeatMissed("a")
	// Ten sendings in a turn, the next one interval after the last of them.
	if got := c.turn() + c.timing().again; got != 30*time.Second {
		t.Errorf("a turn comes after %v, want 30 s", got)
	}
}

func TestBadConfig(t *testing.T) {
	tests := map[string]func(*Config){
		"no events":        func(c *Config) { c.Events = nil },
		"no links":         func(c *Config) { c.Links = nil },
		"no name":          func(c *Config) { c.Links[0].Name = "" },
		"no profile":       func(c *Config) { c.Links[0].Profile = nil },
		"no dial":          func(c *Config) { c.Links[0].Dial = nil },
		"two kinds":        func(c *Config) { c.Links[0].Mitigator = &mitigator{} },
		"negative status":  func(c *Config) { c.Links[0].StatusInterval = -1 },
		"name twice":       func(c *Config) { c.Links = append(c.Links, c.Links[0]) },
		"too few":          func(c *Config) { c.MaxInFlight = 3 },
		"negative missing": func(c *Config) { c.MissingAllowed = -1 },
		"negative repeat":  func(c *Config) { c.RepeatInterval = -1 },
		"negative poll":    func(c *Config) { c.PollInterval = -1 },
		"negative dial":    func(c *Config) { c.DialTimeout = -1 },
		"idle too often":   func(c *Config) { c.Backoff.MinIdle = 59 * time.Second },
	}
	for name, spoil := range tests {
		t.Run(name, func(t *testing.T) {
			c := goodConfig()
			spoil(&c)
			if m, err := New(c); err == nil || m != nil {
				t.Fatal("accepted")
			}
		})
	}
}

// RFC 9132, Section 4.7: in idle time attempts are at least 60 s apart, better 300 s.
func TestBackoff(t *testing.T) {
	c, err := goodConfig().withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	waits := func(active bool, chance float64) []time.Duration {
		var d []time.Duration
		for n := range 9 {
			d = append(d, c.Backoff.delay(n, active, chance)/time.Second)
		}
		return d
	}
	if d := gocmp.Diff([]time.Duration{0, 1, 2, 4, 8, 15, 15, 15, 15}, waits(true, 0)); d != "" {
		t.Error(d)
	}
	if d := gocmp.Diff([]time.Duration{60, 60, 300, 300, 300, 300, 300, 300, 300}, waits(false, 0)); d != "" {
		t.Error(d)
	}
	if d := gocmp.Diff([]time.Duration{63, 63, 315, 315, 315, 315, 315, 315, 315}, waits(false, 0.5)); d != "" {
		t.Error(d) // jitter only adds
	}
	c.Backoff.Jitter = -1
	if got := c.Backoff.delay(0, false, 0.9); got != time.Minute {
		t.Errorf("without jitter %v", got)
	}
}
