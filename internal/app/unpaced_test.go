package app

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/dotsgate/dotsgate/internal/config"
)

// TestPacingIsSwitchedOffInTheLabOnly: where every uplink is on this machine.
func TestPacingIsSwitchedOffInTheLabOnly(t *testing.T) {
	here, here6 := config.Uplink{Name: "a", Address: "127.0.0.2:4646"}, config.Uplink{Name: "b", Address: "[::1]:4646"}
	for _, tt := range []struct {
		text    string
		uplinks []config.Uplink
		want    int
		refused string // empty: it is not
	}{
		{"", []config.Uplink{{Name: "far", Address: "192.0.2.1:4646"}}, 0, ""},
		{"1024", []config.Uplink{here, here6}, 1024, ""},
		{"1024", nil, 1024, ""},
		{"1024", []config.Uplink{here, {Name: "far", Address: "192.0.2.1:4646"}}, 0, "uplink far is not at a loopback address"},
		{"1024", []config.Uplink{{Name: "named", Address: "localhost:4646"}}, 0, "uplink named is not"},
		{"3", []config.Uplink{here}, 0, `DOTSGATE_LAB_IN_FLIGHT="3": use a number from 4 to 65536`},
		{"65537", []config.Uplink{here}, 0, "use a number"},
		{"many", []config.Uplink{here}, 0, "use a number"},
	} {
		got, err := labInFlight(tt.text, tt.uplinks)
		if got != tt.want || (err == nil) != (tt.refused == "") || err != nil && !strings.Contains(err.Error(), tt.refused) {
			t.Errorf("%q with %v: got %d, %v; want %d, %q", tt.text, tt.uplinks, got, err, tt.want, tt.refused)
		}
	}
}

// TestUnpacedGatewayIsRefusedElsewhere: it does not start.
func TestUnpacedGatewayIsRefusedElsewhere(t *testing.T) {
	t.Setenv(envInFlight, "1024")
	cfg, err := config.Load(writeGatewayFile(t, newPKI(t), "192.0.2.1:4646", "dtls", ""))
	if err != nil {
		t.Fatal(err)
	}
	a, err := Build(t.Context(), cfg, slog.New(slog.DiscardHandler), "test")
	if err == nil {
		_ = a.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "is for the lab") {
		t.Errorf("got %v, want a refusal", err)
	}
}
