package bgp

import (
	"crypto/tls"
	"math"
	"net/netip"
	"strings"
	"testing"
)

func good() Config {
	return Config{Name: "rtbh", Node: "gw.example", Address: "127.0.0.1:50051", Mode: ModeBlackhole}
}

func flow(change func(*Config)) func(*Config) {
	return func(c *Config) {
		c.Mode = ModeFlowspec
		change(c)
	}
}

func TestConfigAccepted(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"as it is":     func(*Config) {},
		"socket":       func(c *Config) { c.Address = "unix:///run/gobgpd.sock" },
		"IPv6":         func(c *Config) { c.Address = "[::1]:50051" },
		"by name":      func(c *Config) { c.Address = "localhost:50051" },
		"another host": func(c *Config) { c.Address, c.TLS = "192.0.2.1:50051", &tls.Config{MinVersion: tls.VersionTLS12} },
		"marker":       func(c *Config) { c.Node, c.Marker = "", "4294967295:0:1" },
		"communities":  func(c *Config) { c.Communities = []string{"65535:666", "64500:1:2"} },
		"rate":         flow(func(c *Config) { c.Action, c.Rate = ActionRate, 125000 }),
		"redirect":     flow(func(c *Config) { c.Action, c.RedirectTo = ActionRedirect, "64500:1" }),
	} {
		c := good()
		change(&c)
		if _, err := New(c); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestConfigRefused(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"name: ":                              func(c *Config) { c.Name = "" },
		"marker: without":                     func(c *Config) { c.Node = "" },
		`marker: "64500:1"`:                   func(c *Config) { c.Marker = "64500:1" },
		"address: address 127.0.0.1: missing": func(c *Config) { c.Address = "127.0.0.1" },
		"address: 192.0.2.1:50051":            func(c *Config) { c.Address = "192.0.2.1:50051" },
		"address: gobgpd.example:1":           func(c *Config) { c.Address = "gobgpd.example:1" },
		`api: "v2"`:                           func(c *Config) { c.API = "v2" },
		`mode: ""`:                            func(c *Config) { c.Mode = "" },
		"timeout: -1s":                        func(c *Config) { c.Timeout = -1e9 },
		`communities: "666"`:                  func(c *Config) { c.Communities = []string{"666"} },
		`communities: "65536:1"`:              func(c *Config) { c.Communities = []string{"65536:1"} },
		`communities: "1:2:4294967296`:        func(c *Config) { c.Communities = []string{"1:2:4294967296"} },
		"next_hop4: ":                         func(c *Config) { c.NextHop4 = netip.MustParseAddr("100::1") },
		"next_hop6: ":                         func(c *Config) { c.NextHop6 = netip.MustParseAddr("::ffff:192.0.2.1") },
		"min_length4: 33":                     func(c *Config) { c.MinLength4 = 33 },
		"min_length6: -1":                     func(c *Config) { c.MinLength6 = -1 },
		"max_per_leg: -1":                     func(c *Config) { c.MaxPerLeg = -1 },
		"max_routes: -1":                      func(c *Config) { c.MaxRoutes = -1 },
		`action: "drop"`:                      flow(func(c *Config) { c.Action = "drop" }),
		"action: rate needs":                  func(c *Config) { c.Action, c.Rate = ActionRate, 1 },
		"rate: it belongs":                    flow(func(c *Config) { c.Action = ActionRate }),
		"rate: it belongs to":                 flow(func(c *Config) { c.Rate = 1 }),
		"rate: -1":                            flow(func(c *Config) { c.Action, c.Rate = ActionRate, -1 }),
		"rate: NaN":                           flow(func(c *Config) { c.Action, c.Rate = ActionRate, math.NaN() }),
		"rate: 1e+39":                         flow(func(c *Config) { c.Action, c.Rate = ActionRate, 1e39 }),
		"redirect_to: it belongs":             flow(func(c *Config) { c.Action = ActionRedirect }),
		`redirect_to: "64500"`:                flow(func(c *Config) { c.Action, c.RedirectTo = ActionRedirect, "64500" }),
		`redirect_to: "192.0.2.1:65536`: flow(func(c *Config) {
			c.Action, c.RedirectTo = ActionRedirect, "192.0.2.1:65536"
		}),
		`redirect_to: "4200000000:65536`: flow(func(c *Config) {
			c.Action, c.RedirectTo = ActionRedirect, "4200000000:65536"
		}),
	} {
		c := good()
		change(&c)
		_, err := New(c)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "configuring mitigator") {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// TestMarker: it depends on the node and on the mitigator, and stays what it is: routes carry it over restarts and updates.
func TestMarker(t *testing.T) {
	if got, want := markerOf(64500, "gw.example", "rtbh"), (large{64500, 0xda40523f, 0xb3afc42d}); got != want {
		t.Errorf("got %#x, want %#x", got, want)
	}
	seen := map[large]bool{}
	for _, of := range [][2]string{{"a", "b"}, {"ab", ""}, {"", "ab"}, {"b", "a"}} {
		seen[markerOf(1, of[0], of[1])] = true
	}
	if len(seen) != 4 {
		t.Errorf("%d markers for 4 mitigators", len(seen))
	}
}
